"""The Python side of Slipstream: a scheduler that takes the place of ``airflow scheduler``."""
