"""Handles every deadline as missed, as Airflow's scheduler does."""

from airflow.models.deadline import Deadline
from airflow.utils.session import create_session
from sqlalchemy import select

with create_session() as session:
    for deadline in session.scalars(select(Deadline).order_by(Deadline.id)):
        deadline.handle_miss(session)
