"""How many events a second go into the log over HTTP.

Usage: ingest.py [--url http://127.0.0.1:8974] [--events 50000] [--batch 100] [--connections 4]

Start a scheduler first, on a database of its own. Prints events per second and the latency of a request.
"""

import argparse
import http.client
import json
import threading
import time
import urllib.parse
import uuid


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://127.0.0.1:8974")
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--connections", type=int, default=4)
    options = parser.parse_args()

    run = uuid.uuid4().hex[:8]
    place = urllib.parse.urlparse(options.url)
    requests = options.events // options.batch
    share = -(-requests // options.connections)
    times, lock = [], threading.Lock()

    def body(number):
        events = [
            {
                "specversion": "1.0",
                "id": f"{run}-{number}-{i}",
                "source": "/bench",
                "type": "bench",
                "subject": f"key-{i % 1000}",
                "data": {"n": i, "score": 0.5, "text": "x" * 50},
            }
            for i in range(options.batch)
        ]
        return json.dumps(events).encode()

    # Made before the clock starts: what is measured is the server.
    bodies = [body(number) for number in range(requests)]

    def work(part):
        connection = http.client.HTTPConnection(place.hostname, place.port)
        own = []
        for one in bodies[part * share : (part + 1) * share]:
            start = time.perf_counter()
            connection.request(
                "POST", "/events", one, {"content-type": "application/cloudevents-batch+json"}
            )
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            own.append(time.perf_counter() - start)
        with lock:
            times.extend(own)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(options.connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - start
    times.sort()
    sent = requests * options.batch
    print(
        f"{sent} events in {spent:.2f} s: {sent / spent:.0f} events/s; a request of {options.batch}: "
        f"median {times[len(times) // 2] * 1000:.1f} ms, p99 {times[int(len(times) * 0.99)] * 1000:.1f} ms"
    )


if __name__ == "__main__":
    main()
