"""Files and batches as OpenAI and Anthropic keep them; no I/O."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesParser
from typing import Any, Literal

from wire_shapes import CREATED, Fault, Json, Provider, new_id

Outcome = tuple[int, Json] | None
"""Status and body of one request of a batch; None: the batch expired before it."""
Make = Callable[[str, Json], Outcome]
"""Makes one request of a batch: its path and body."""
State = Literal["open", "failed", "ended", "cancelled"]


@dataclass
class Batch:
    """A batch: its requests by custom id, and what came of them once it has ended."""

    id: str
    provider: Provider
    requests: dict[str, Json]
    endpoint: str = ""
    input_file: str = ""
    metadata: Json | None = None
    window: str = ""
    state: State = "open"
    problem: str = ""
    polls: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    made: float = field(default_factory=time.time)
    output_file: str | None = None
    error_file: str | None = None

    def count(self, good: bool) -> int:
        """Requests that succeeded, or that failed with a status."""
        done = [o for o in self.outcomes.values() if o is not None]
        return sum((status == 200) is good for status, _ in done)

    @property
    def expired(self) -> int:
        """Requests that were never made."""
        return sum(o is None for o in self.outcomes.values())


class Batches:
    """The batches and files of a server. `polls`: the status request at which a batch has ended, the
    first being 1; None: not before `finish`."""

    def __init__(self, make: Make, root: Callable[[], str]) -> None:
        self.make = make
        self.root = root
        self.polls: int | None = 1
        self.files: dict[str, tuple[Json, bytes]] = {}
        self.batches: dict[str, Batch] = {}

    # files

    def upload(self, content_type: str, body: bytes) -> Json:
        """A file from a multipart form. Raises `ValueError` for a form without one."""
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        form = BytesParser(policy=policy.HTTP).parsebytes(head + body)
        parts = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
        if "file" not in parts or "purpose" not in parts:
            raise ValueError("the form needs 'file' and 'purpose'")
        data = parts["file"].get_payload(decode=True)
        assert isinstance(data, bytes)
        name = parts["file"].get_filename() or "upload"
        return self.keep(name, data, str(parts["purpose"].get_content()).strip())

    def keep(self, name: str, data: bytes, purpose: str) -> Json:
        """Store a file; its description."""
        told: Json = {
            "id": new_id("file-"),
            "object": "file",
            "bytes": len(data),
            "created_at": CREATED,
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }
        self.files[told["id"]] = (told, data)
        return told

    # batches

    def create_openai(self, asked: Json) -> Json:
        """A batch over an uploaded file. Raises `KeyError` for a file that is not here."""
        batch = Batch(
            new_id("batch_"),
            "openai",
            {},
            endpoint=asked["endpoint"],
            input_file=asked["input_file_id"],
            metadata=asked.get("metadata"),
            window=asked["completion_window"],
        )
        for i, line in enumerate(self.files[batch.input_file][1].splitlines(), 1):
            try:
                row = json.loads(line)
                if row["custom_id"] in batch.requests:
                    batch.problem = f"line {i}: duplicate custom_id"
                if row["method"] != "POST" or row["url"] != batch.endpoint:
                    batch.problem = f"line {i}: the method or URL is not the batch's"
                batch.requests[row["custom_id"]] = row["body"]
            except (ValueError, KeyError):
                batch.problem = f"line {i} is not a request"
        if batch.problem or not batch.requests:
            batch.state, batch.problem = "failed", batch.problem or "the input file is empty"
        self.batches[batch.id] = batch
        return self.told(batch)

    def create_anthropic(self, asked: Json) -> Json | Fault:
        """A batch of the requests given."""
        requests = {row["custom_id"]: row["params"] for row in asked["requests"]}
        if len(requests) < len(asked["requests"]):
            return Fault(400, "requests: custom_id must be unique")
        batch = Batch(new_id("msgbatch_"), "anthropic", requests, endpoint="/v1/messages")
        self.batches[batch.id] = batch
        return self.told(batch)

    def poll(self, batch: Batch) -> Json:
        """Its status, asked once more."""
        batch.polls += 1
        if batch.state == "open" and self.polls is not None and batch.polls >= self.polls:
            self.end(batch)
        return self.told(batch)

    def listed(self, provider: Provider) -> list[Json]:
        """A provider's batches, the newest first."""
        return [self.told(b) for b in reversed(self.batches.values()) if b.provider == provider]

    def finish(self) -> None:
        """End every batch that is open."""
        for batch in self.batches.values():
            if batch.state == "open":
                self.end(batch)

    def cancel(self, batch: Batch) -> Json:
        """Stop a batch: none of its requests is made."""
        if batch.state == "open":
            batch.outcomes = dict.fromkeys(batch.requests)
            batch.state = "cancelled"
        return self.told(batch)

    def end(self, batch: Batch) -> None:
        """Make all of a batch's requests."""
        batch.outcomes = {name: self.make(batch.endpoint, body) for name, body in batch.requests.items()}
        batch.state = "ended"
        if batch.provider == "openai":
            good = [_openai_line(n, o) for n, o in batch.outcomes.items() if o and o[0] == 200]
            bad = [_openai_line(n, o) for n, o in batch.outcomes.items() if not o or o[0] != 200]
            if good:
                batch.output_file = self.keep("output.jsonl", _lines(good), "batch_output")["id"]
            if bad:
                batch.error_file = self.keep("error.jsonl", _lines(bad), "batch_output")["id"]

    def results(self, batch: Batch) -> bytes:
        """Anthropic's results, as JSON lines."""
        unmade = "canceled" if batch.state == "cancelled" else "expired"
        return _lines([_anthropic_line(n, o, unmade) for n, o in batch.outcomes.items()])

    def told(self, batch: Batch) -> Json:
        """A batch as its provider describes it."""
        return self._anthropic(batch) if batch.provider == "anthropic" else _openai(batch)

    def _anthropic(self, batch: Batch) -> Json:
        made = datetime.fromtimestamp(batch.made, UTC)
        ended = batch.state != "open"
        unmade = batch.expired
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {
                "processing": 0 if ended else len(batch.requests),
                "succeeded": batch.count(good=True),
                "errored": batch.count(good=False),
                "canceled": unmade if batch.state == "cancelled" else 0,
                "expired": 0 if batch.state == "cancelled" else unmade,
            },
            "created_at": made.isoformat(),
            "expires_at": (made + timedelta(days=1)).isoformat(),
            "ended_at": made.isoformat() if ended else None,
            "archived_at": None,
            "cancel_initiated_at": made.isoformat() if batch.state == "cancelled" else None,
            "results_url": f"{self.root()}/v1/messages/batches/{batch.id}/results" if ended else None,
        }


def _openai(batch: Batch) -> Json:
    status = {"open": "in_progress", "failed": "failed", "ended": "completed", "cancelled": "cancelled"}
    shown = "expired" if batch.state == "ended" and batch.expired else status[batch.state]
    errors = {"object": "list", "data": [{"code": "invalid", "message": batch.problem, "line": None}]}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": errors if batch.problem else None,
        "input_file_id": batch.input_file,
        "completion_window": batch.window,
        "status": shown,
        "output_file_id": batch.output_file,
        "error_file_id": batch.error_file,
        "created_at": int(batch.made),
        "in_progress_at": int(batch.made),
        "expires_at": int(batch.made) + 86_400,
        f"{shown}_at": int(batch.made),
        "request_counts": {
            "total": len(batch.requests),
            "completed": batch.count(good=True),
            "failed": batch.count(good=False),
        },
        "metadata": batch.metadata,
    }


def _lines(rows: list[Json]) -> bytes:
    """JSON lines, the last request first: providers promise no order."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in reversed(rows))


def _openai_line(name: str, outcome: Outcome) -> Json:
    line: dict[str, Any] = {"id": new_id("batch_req_"), "custom_id": name, "response": None, "error": None}
    if outcome is None:
        late = "This request could not be executed before the completion window expired."
        return {**line, "error": {"code": "batch_expired", "message": late}}
    status, body = outcome
    return {**line, "response": {"status_code": status, "request_id": new_id("req_"), "body": body}}


def _anthropic_line(name: str, outcome: Outcome, unmade: str) -> Json:
    result: Mapping[str, Any]
    if outcome is None:
        result = {"type": unmade}
    elif outcome[0] == 200:
        result = {"type": "succeeded", "message": outcome[1]}
    else:
        result = {"type": "errored", "error": outcome[1]}
    return {"custom_id": name, "result": result}
