"""Private: what runs inside the Python processes that Slipstream starts.

These modules are compiled into the ``slipstream`` binary and sent to the interpreter of the Airflow environment, so that
nothing has to be installed there. Inside the process the package is called ``_slipstream_host``.
"""
