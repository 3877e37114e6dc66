from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseOperator, BaseOperatorLink, Param, Variable, task

CASE = {"about": "params, conf, templates, rendered fields long and secret, files of templates, render as native, operator links, notes, doc, default_args, a param of a task", "limit": 200,
        "dags": ["rendered_fields", "rendered_fields__native"],
        "before": [{"set_variable": {"rendered_fields_v": "plain value", "rendered_fields_password": "hush-hush-1"}}],
        "actions": [{"trigger": {"conf": {"p": 7, "extra": "é", "password": "verysecret1"}, "note": "a note"}}, {"trigger": {"dag": "rendered_fields__native", "conf": {"l": [1, 2]}}},
                    {"trigger": {"run": "bad", "conf": {"p": "text"}, "expect": 400}}, {"wait": "runs"},
                    {"rest": {"method": "PATCH", "path": "/dags/rendered_fields/dagRuns/r1/taskInstances/tpl", "body": {"note": "ti note"}}}],
        "files": {"rendered_fields_script.sh": "echo file {{ ds_nodash if ds_nodash is defined else 'none' }} {{ params.p }}"}}


class Link(BaseOperatorLink):
    name = "Somewhere"

    def get_link(self, operator, *, ti_key):
        return "https://example.org/" + ti_key.task_id


class Linked(BaseOperator):
    operator_extra_links = (Link(),)
    template_fields = ("a", "b", "c", "d", "e")
    template_fields_renderers = {"c": "json"}
    template_ext = (".sh",)

    def __init__(self, a=None, b=None, c=None, d=None, e=None, **kw):
        super().__init__(**kw)
        self.a, self.b, self.c, self.d, self.e = a, b, c, d, e

    def execute(self, context):
        return [self.a, self.b, str(self.c)[:50], len(str(self.d))]


with DAG("rendered_fields", schedule=None, params={"p": Param(3, type="integer", minimum=1), "q": "dflt", "n": Param(None, type=["null", "string"])},
         default_args={"retries": 1, "retry_delay": timedelta(0), "owner": "me", "priority_weight": 5, "queue": "default", "pool": "default_pool", "weight_rule": "absolute", "doc_md": "# d", "email": None},
         user_defined_macros={"mac": lambda x: x * 2, "const": "K"}, user_defined_filters={"rev": lambda s: s[::-1]}, template_searchpath=None, render_template_as_native_obj=False, doc_md="doc {{ x }}"):
    Linked(task_id="tpl", a="{{ params.p }} {{ params.q }} {{ mac(3) }} {{ 'abc' | rev }} {{ const }}", b="{{ dag_run.conf }} {{ run_id }} {{ dag.dag_id }} {{ task_instance_key_str }}",
           c={"x": ["{{ ti.try_number }}", ("{{ task.task_id }}",), {"y": "{{ var.value.rendered_fields_v }}"}], "password": "abc"}, d="y" * 6000, e=None)
    Linked(task_id="secret", a="{{ var.value.rendered_fields_password }}", b="{{ var.value.get('nope', 'fallback') }}", c={"api_key": "k123456", "n": 1}, d=list(range(2000)), e=lambda: 1)
    Linked(task_id="file", a="rendered_fields_script.sh", b="{{ params['n'] }}", c=timedelta(days=1), d={"k" + str(i): "v" for i in range(500)}, e={1, 2})
    Linked(task_id="missing_file", a="no_such_script.sh")
    Linked(task_id="undefined", a="{{ undefined_thing }}", b="{{ macros.datetime(2024, 1, 1) }} {{ macros.ds_add('2024-01-01', 2) }}", retries=0)
    Linked.partial(task_id="mapped", b="{{ ti.map_index }}").expand(a=["{{ params.p }}", "lit"])

    @task(params={"p": 11, "own": [1]})
    def own(params=None):
        return dict(params)
    own()
    PythonOperator(task_id="py", python_callable=lambda *a, **k: [a, k.get("z"), k["params"]["p"]], op_args=["{{ run_id }}", 1], op_kwargs={"z": "{{ params.q }}"}, templates_dict={"t": "{{ ds }}"}, show_return_value_in_logs=False)
    BashOperator(task_id="bash", bash_command="echo $A $AIRFLOW_CTX_TASK_ID $AIRFLOW_CTX_TRY_NUMBER $AIRFLOW_CTX_DAG_RUN_ID", env={"A": "{{ params.p }}"}, append_env=True)

with DAG("rendered_fields__native", schedule=None, render_template_as_native_obj=True, params={"l": [], "d": {"a": 1}}):
    Linked(task_id="native", a="{{ params.l }}", b="{{ params.d.a }}", c="{{ params.d }}", d="{{ none }}", e="{{ 1.50 }}")
