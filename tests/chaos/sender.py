"""Sends events over HTTP until each is confirmed, in a thread of its own."""

from __future__ import annotations

import http.client
import random
import threading

from event_dags import event, post

TIMEOUT = 5.0
AGAIN = 0.2


class Sender(threading.Thread):
    """One event after the other, to one server or the other; one in ten is sent twice."""

    def __init__(self, ports: list[int], seed: int, every: float) -> None:
        super().__init__(daemon=True)
        self.ports, self.dice, self.every = ports, random.Random(seed), every
        self.sent: list[str] = []
        self.pending: str | None = None
        self.refusals = 0
        self.last_error = ""
        self.enough, self.given_up = threading.Event(), threading.Event()

    def run(self) -> None:
        number = 0
        while not self.enough.wait(self.every):
            number += 1
            one = event(number, "chaos", {"n": number}, source="chaos")
            self.pending = one["id"]
            for _ in range(2 if self.dice.random() < 0.1 else 1):
                if not self.confirmed(one):
                    return
            self.sent.append(one["id"])
            self.pending = None

    def confirmed(self, one: dict) -> bool:
        while not self.given_up.is_set():
            try:
                post(self.dice.choice(self.ports), [one], timeout=TIMEOUT)
                return True
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.refusals += 1
                self.last_error = f"{type(error).__name__}: {error}"
                self.given_up.wait(AGAIN)
        return False

    def finish(self, limit: float) -> list[str]:
        """Sends no new event; returns what nobody confirmed within so many seconds."""
        self.enough.set()
        self.join(limit)
        self.given_up.set()
        self.join(2 * TIMEOUT)
        return [f"{self.pending} ({self.last_error})"] if self.pending else []
