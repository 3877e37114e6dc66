CASE = {
    "about": "parsing under other settings: .airflowignore with regular expressions, values of a secrets backend while a file is parsed",
    "batch": "settings",
    "no_dag_file": True,
    "unpause": [],
    "dags": ["set_parsing__read", "set_parsing__secret"],
    "actions": [{"sleep": 3}, {"note": {"sql_name": "Dags", "sql": "select dag_id, description from dag where dag_id like 'set_parsing%' order by 1"}}, {"import_errors": {}}],
    "files": {
        "set_parsing_folder/.airflowignore": "no_.*\n# a comment\n^.*_left\\.py$\n",
        "set_parsing_folder/no_thing.py": "from airflow.sdk import DAG\nd = DAG('set_parsing__no_thing', schedule=None)\n",
        "set_parsing_folder/is_left.py": "from airflow.sdk import DAG\nd = DAG('set_parsing__is_left', schedule=None)\n",
        "set_parsing_folder/set_parsing_read.py": "from airflow.sdk import DAG\nd = DAG('set_parsing__read', schedule=None)\n",
        "set_parsing_secret.py": "from airflow.sdk import DAG, Connection, Variable\nd = DAG('set_parsing__secret', schedule=None, description=' '.join([Variable.get('settings_secret'), Variable.get('settings_env'), Connection.get('settings_secret').host]))\n",
    },
}
