from airflow.sdk import DAG, task
from datetime import timedelta
from conformance_witness import gate

CASE = {
    "about": "runs of Dags that are paused in mid-run: a limit in time does not strike, a new task does not join, a Dag that is gone ends its run",
    "dags": ["paused_corners__timed", "paused_corners__grows", "paused_corners__gone"],
    "files": {"paused_corners_gone.py": "from airflow.sdk import DAG, task\nfrom conformance_witness import gate\n\nwith DAG('paused_corners__gone', schedule=None):\n\n    @task\n    def works():\n        gate('paused_corners')\n\n    works()\n"},
    "actions": [
        {"trigger": {"dag": "paused_corners__timed"}}, {"trigger": {"dag": "paused_corners__grows"}}, {"trigger": {"dag": "paused_corners__gone"}},
        {"wait_sql": {"sql": "select count(*) from task_instance where dag_id like 'paused_corners%' and state = 'running'", "equals": 3}},
        {"pause": "paused_corners__timed"}, {"pause": "paused_corners__grows"}, {"pause": "paused_corners__gone"},
        {"replace": {"old": "PARSED = 1", "new": "PARSED = 2"}}, {"delete_file": "paused_corners_gone.py"},
        {"wait_sql": {"sql": "select count(*) from dag where dag_id = 'paused_corners__gone' and is_stale", "equals": 1}},
        {"wait_sql": {"sql": "select count(*) from dag_version where dag_id = 'paused_corners__grows'", "equals": 2}},
        {"sleep": 12}, {"touch": "go"},
        {"wait": "runs"},
    ],
    "limit": 240,
    "weight": 100,
}

PARSED = 1

with DAG("paused_corners__timed", schedule=None, dagrun_timeout=timedelta(seconds=20)):

    @task
    def works():
        gate("paused_corners")

    works()

with DAG("paused_corners__grows", schedule=None):

    @task
    def first():
        gate("paused_corners")

    first()
    if PARSED == 2:

        @task
        def second():
            pass

        second()
