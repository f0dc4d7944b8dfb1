"""What the Python members of consumer groups share: the configuration, the lines that they print, what they are told.

A member gets its configuration as JSON in its only argument, prints one JSON object a line (what it was assigned, what it
read, what it committed, each with the time), takes commands as JSON lines on standard input, and leaves its group when that
ends. `groups/members.py` has the words. Belongs here: nothing of any client.
"""

import json
import os
import queue
import sys
import threading
import time

POLL_S = 0.1


class Member:
    def __init__(self):
        configuration = json.loads(sys.argv[1])
        self.bootstrap, self.group, self.topic = (configuration[name] for name in ("bootstrap", "group", "topic"))
        self.name, self.protocol = configuration["name"], configuration.get("protocol", "classic")
        self.assignor, self.instance = configuration.get("assignor"), configuration.get("instance")
        self.session_ms = configuration.get("session_ms")
        self.batch, self.pause_ms = configuration.get("batch", 500), configuration.get("pause_ms", 0)
        self.stop_at = configuration.get("stop_at")
        self.commands, self.closing = queue.Queue(), False
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in sys.stdin:
            self.commands.put(json.loads(line))
        self.closing = True

    def say(self, event, **fields):
        line = json.dumps({"at": int(time.time() * 1000), "event": event, **fields})
        with self._lock:
            os.write(1, line.encode() + b"\n")

    def told(self):
        """The commands that have come since."""
        while not self.commands.empty():
            yield self.commands.get()

    def read(self, records):
        """Prints records, (partition, offset, value), in the order in which the client gave them; returns what to commit.
        The record at `stop_at` is the last one that is processed."""
        done, commit = {}, {}
        for partition, offset, value in records:
            if self.stop_at is not None and offset > self.stop_at:
                break
            done.setdefault(partition, []).append((offset, value))
            commit[partition] = offset + 1
            if offset == self.stop_at:
                self.closing = True
        for partition, read in done.items():
            self.say("records", partition=partition, offsets=[offset for offset, _ in read],
                     values=[value.decode() for _, value in read])
        return commit

    def committed(self, offsets):
        self.say("committed", offsets=offsets)

    def rest(self):
        if self.pause_ms:
            time.sleep(self.pause_ms / 1000)
