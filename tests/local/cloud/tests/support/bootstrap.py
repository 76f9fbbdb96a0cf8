"""A custom Lambda runtime for the tests. It returns its event and environment, or fails if the event requests it."""

import json
import os
import time
import urllib.request

BASE = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"

if os.environ.get("EXIT_AT_START"):
    os._exit(1)
while True:
    with urllib.request.urlopen(f"{BASE}/next") as response:
        request, event = response.headers["Lambda-Runtime-Aws-Request-Id"], json.load(response)
    kind, payload = "response", {"event": event, "environment": dict(os.environ), "pid": os.getpid()}
    time.sleep(event.get("sleep", 0))
    end = time.process_time() + event.get("work", 0)
    while time.process_time() < end:
        pass
    if event.get("exit"):
        os._exit(1)
    if event.get("error"):
        kind, payload = "error", {"errorType": event["error"], "errorMessage": "requested by the event"}
    if event.get("big"):
        payload = "x" * event["big"]
    data = json.dumps(payload).encode()
    urllib.request.urlopen(urllib.request.Request(f"{BASE}/{request}/{kind}", data=data, method="POST")).read()
