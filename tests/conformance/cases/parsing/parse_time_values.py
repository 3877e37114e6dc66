CASE = {
    "about": "a Dag file that reads variables and connections while it is parsed, which makes its Dags; a missing one; one that writes; one that prints, warns, starts a thread, leaves a child and changes its folder",
    "no_dag_file": True,
    "dags": ["parse_time_values"],
    "before": [],
    "actions": [
        {"wait_sql": {"sql": "select count(*) from import_error where filename like '%parse_time_values_%'", "equals": 2}},
        {"import_errors": {}},
        {"trigger": {}},
        {"wait": "runs"},
        {"set_variable": {"parse_time_values_missing": "here now"}},
        {"replace": {"file": "parse_time_values_missing.py", "old": "# nothing", "new": "# another"}},
        {"wait_sql": {"sql": "select count(*) from dag where dag_id = 'parse_time_values__missing'", "equals": 1}},
        {"wait_sql": {"sql": "select count(*) from variable where key = 'parse_time_values_written'", "equals": 1}},
        {"note": {"sql_name": "Dags", "sql": "select dag_id, description from dag where dag_id like 'parse_time_values%' order by 1"}},
        {"import_errors": {}},
    ],
    "files": {
        "parse_time_values_good.py": """import os, subprocess, sys, tempfile, threading, warnings
from airflow.sdk import DAG, Connection, Variable, task
os.chdir(tempfile.gettempdir())
print('printed')
print('to stderr', file=sys.stderr)
warnings.warn('old', DeprecationWarning)
threading.Thread(target=threading.Event().wait, daemon=True).start()
subprocess.Popen(['sleep', '2'])
facts = [Variable.get('parse_time_values_none', default='default'), Variable.get('parse_time_values_none', default=None), [k for k in Variable.keys(prefix='parse_time_values_none')]]
try:
    facts.append(Connection.get('parse_time_values_none'))
except Exception as e:
    facts.append(type(e).__name__)
with DAG('parse_time_values', schedule=None, description=repr(facts)):
    @task
    def t():
        return facts
    t()
""",
        "parse_time_values_missing.py": """from airflow.sdk import DAG, Variable
# nothing
with DAG('parse_time_values__missing', schedule=None, description=Variable.get('parse_time_values_missing')):
    pass
""",
        "parse_time_values_connection.py": """from airflow.sdk import DAG, Connection
with DAG('parse_time_values__connection', schedule=None, description=Connection.get('parse_time_values_none').host):
    pass
""",
        "parse_time_values_writes.py": """from airflow.sdk import DAG, Variable
Variable.set('parse_time_values_written', 'by a file')
with DAG('parse_time_values__writes', schedule=None, description=Variable.get('parse_time_values_written')):
    pass
""",
    },
}
