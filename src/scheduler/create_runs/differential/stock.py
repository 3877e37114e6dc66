"""Makes runs as Airflow's scheduler does, a few loops long."""

from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from airflow.utils.sqlalchemy import prohibit_commit

DagModel.NUM_DAGS_PER_DAGRUN_QUERY = 100
runner = SchedulerJobRunner(job=Job(id=7), executors=[])
for _ in range(4):
    with create_session() as session, prohibit_commit(session) as guard:
        runner._create_dagruns_for_dags(guard, session)
