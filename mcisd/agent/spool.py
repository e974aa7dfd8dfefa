"""Frames on disk: append-only segment files, bounded by bytes and age, oldest segment dropped first.

A record is ``length u32 | crc32 u32 | seq u64 | time_ms i64 | frame payload``, little-endian; the checksum covers all
behind it, so a record torn by a kill is found and cut off. A segment is named by its first sequence number. Schemas
that the frames need lie beside them as ``schema-<id>.msg``, each one whole wire message.
"""

import binascii
import os
import struct

from mcisd.agent.cursor import Cursor

_HEAD = struct.Struct("<II")
_KEY = struct.Struct("<Qq")
_START = _HEAD.size + _KEY.size


class Segment:
    """One file of the spool."""

    def __init__(self, path: "str") -> "None":
        self.path = path
        self.size = 0
        self.frames = 0
        self.first = 0
        self.last = 0
        self.last_ms = 0


class Spool:
    """The segments in order. ``frames`` and ``size`` say what is kept, ``dropped`` what was lost for good."""

    def __init__(self, folder: "str", max_bytes: "int", max_age_s: "int") -> "None":
        """Open ``folder`` (made if missing), check every record of it and cut torn ends."""
        self.dropped = 0
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_age_ms = max_age_s * 1000
        self._segment_bytes = max(16384, min(1 << 20, max_bytes // 8))
        self._cursor = Cursor(os.path.join(folder, "acked"))
        self._gone_at = 0  # in the first segment: records before this offset are acknowledged …
        self._gone = 0  # … that many
        self._write_fd = -1
        self._read_fd = -1
        self._read_path = ""
        self._segments = [self._check(name) for name in _names(folder) if name.endswith(".seg")]
        self._segments = [segment for segment in self._segments if segment.frames]
        self._let_go()

    @property
    def frames(self) -> "int":
        """Frames kept and not acknowledged."""
        return sum(segment.frames for segment in self._segments) - self._gone

    @property
    def size(self) -> "int":
        """Bytes of all segment files."""
        return sum(segment.size for segment in self._segments)

    @property
    def last(self) -> "int":
        """The highest sequence number kept; 0 if there is none."""
        return self._segments[-1].last if self._segments else 0

    def append(self, seq: "int", time_ms: "int", payload: "bytes") -> "None":
        """Keep one frame; ``seq`` must be above ``last``. Drops the oldest to make room. Raises OSError."""
        body = _KEY.pack(seq, time_ms) + payload
        record = _HEAD.pack(len(body), binascii.crc32(body)) + body
        while self._segments and self.size + len(record) > self._max_bytes:
            self._drop_first()
        try:
            self._write(seq, record)
        except OSError:
            if not self._segments:
                raise
            self._drop_first()  # the disk is full: what is oldest makes room
            self._write(seq, record)
        segment = self._segments[-1]
        segment.size += len(record)
        segment.frames += 1
        segment.last, segment.last_ms = seq, time_ms

    def next_after(self, seq: "int", at: "tuple[str, int]") -> "tuple[int, bytes, tuple[str, int]] | None":
        """The first frame above ``seq`` not safe yet as ``(seq, payload, place)``, or None; ``at``: the last place."""
        for segment in list(self._segments):
            if segment.last <= seq:
                continue
            offset = at[1] if at[0] == segment.path else 0
            while offset < segment.size:
                record = self._record(segment, offset)
                if record is None:
                    self._lose_rest(segment, offset)
                    break
                offset = record[2]
                if record[0] > seq and not self._cursor.covers(record[0]):
                    return record[0], record[1], (segment.path, offset)
        return None

    def newest_before(self, time_ms: "int") -> "tuple[int, tuple[str, int]]":
        """``(seq, place behind it)`` of the last frame that is older than ``time_ms``; number 0 if there is none.

        Only the last two segments are read: what lies before those counts as older, whatever its time.
        """
        for segment in self._segments[:-3:-1]:
            found, offset = (0, ("", 0)), 0
            while offset < segment.size:
                record = self._record(segment, offset)
                if record is None:
                    break  # ``next_after`` comes here again, and counts what is lost
                offset = record[2]
                if record[3] < time_ms:
                    found = record[0], (segment.path, offset)
            if found[0]:
                return found
        older = self._segments[:-2]
        return (older[-1].last if older else 0), ("", 0)

    def acked(self, seq: "int", above: "int" = 0) -> "None":
        """Never send the frames above ``above`` up to ``seq`` again; forget them as soon as all before them are."""
        if not self._cursor.add(above, seq) or not self._segments:
            return
        try:
            self._cursor.save()
            self._let_go()
        except OSError:
            self._let_go()  # the disk is full: this makes room
            try:
                self._cursor.save()
            except OSError:
                return  # what is safe is still known here; a new start may send some of it again

    def _let_go(self) -> "None":
        acked = self._cursor.acked
        while self._segments and self._segments[0].last <= acked:
            self._remove_first()
        if self._segments and self._segments[0].first <= acked:
            segment = self._segments[0]
            while self._gone_at < segment.size:
                record = self._record(segment, self._gone_at)
                if record is None or record[0] > acked:
                    break
                self._gone_at = record[2]
                self._gone += 1

    def expire(self, now_ms: "int") -> "None":
        """Drop the segments of which even the newest frame is too old at ``now_ms``."""
        while self._segments and self._segments[0].last_ms < now_ms - self._max_age_ms:
            self._drop_first()

    def keep_schema(self, number: "int", message: "bytes") -> "None":
        """Store the SCHEMA message that frames refer to as ``number``. Raises OSError."""
        path = self._schema_path(number)
        if os.path.exists(path):
            return
        try:
            _write_whole(path, message)
        except OSError:
            if not self._segments:
                raise
            self._drop_first()  # the disk is full: what is oldest makes room
            _write_whole(path, message)

    def schema(self, number: "int") -> "bytes | None":
        """The stored SCHEMA message, or None if it is lost."""
        try:
            with open(self._schema_path(number), "rb") as file:
                return file.read()
        except OSError:
            return None

    def forget_schemas(self) -> "None":
        """Remove all stored schemas; only right while no frame is kept."""
        for name in _names(self._folder):
            if name.startswith("schema-"):
                _unlink(os.path.join(self._folder, name))

    def close(self) -> "None":
        """Close the files; what is kept stays on disk."""
        self._close_write()
        self._close_read()

    def _schema_path(self, number: "int") -> "str":
        return os.path.join(self._folder, "schema-%08x.msg" % number)

    def _write(self, seq: "int", record: "bytes") -> "None":
        if self._write_fd < 0 or not self._segments or self._segments[-1].size >= self._segment_bytes:
            self._open_segment(seq)
        segment = self._segments[-1]
        try:
            written = os.write(self._write_fd, record)
            if written < len(record):
                raise OSError(28, "No space left on device")
        except OSError:
            os.ftruncate(self._write_fd, segment.size)
            if not segment.frames:
                self._close_write()
                self._segments.pop()
                _unlink(segment.path)
            raise

    def _open_segment(self, seq: "int") -> "None":
        self._close_write()
        path = os.path.join(self._folder, "%020d.seg" % seq)
        self._write_fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        segment = Segment(path)
        segment.first = segment.last = seq
        self._segments.append(segment)

    def _close_write(self) -> "None":
        if self._write_fd >= 0:
            os.close(self._write_fd)
        self._write_fd = -1

    def _check(self, name: "str") -> "Segment":
        """Read a segment left by an earlier run; cut it behind its last whole record, remove it if none is left."""
        segment = Segment(os.path.join(self._folder, name))
        size = os.path.getsize(segment.path)
        segment.size = size
        offset = 0
        while offset < size:
            record = self._record(segment, offset)
            if record is None:
                self.dropped += 1  # how many were behind it cannot be known
                break
            segment.first = segment.first or record[0]
            segment.last, segment.last_ms = record[0], record[3]
            segment.frames += 1
            offset = record[2]
        segment.size = offset
        if not offset:
            _unlink(segment.path)
        elif offset < size:
            _truncate(segment.path, offset)
        return segment

    def _record(self, segment: "Segment", offset: "int") -> "tuple[int, bytes, int, int] | None":
        """``(seq, payload, offset behind it, time_ms)`` of the record at ``offset``, or None if it is not whole."""
        if self._read_path != segment.path and not self._open_read(segment.path):
            return None
        head = os.pread(self._read_fd, _HEAD.size, offset)
        if len(head) < _HEAD.size:
            return None
        length, crc = _HEAD.unpack(head)
        if not _KEY.size <= length <= segment.size - offset - _HEAD.size:
            return None
        body = os.pread(self._read_fd, length, offset + _HEAD.size)
        if len(body) < length or binascii.crc32(body) != crc:
            return None
        seq, time_ms = _KEY.unpack_from(body)
        return seq, body[_KEY.size :], offset + _HEAD.size + length, time_ms

    def _open_read(self, path: "str") -> "bool":
        self._close_read()
        try:
            self._read_fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False  # taken away by someone else: as lost as a torn one
        self._read_path = path
        return True

    def _close_read(self) -> "None":
        if self._read_fd >= 0:
            os.close(self._read_fd)
        self._read_fd, self._read_path = -1, ""

    def _lose_rest(self, segment: "Segment", offset: "int") -> "None":
        """The disk does not give back what was written: count the rest of this segment as lost, keep the front."""
        whole, at, last = 0, 0, segment.first
        while at < offset:
            record = self._record(segment, at)
            if record is None:
                break
            whole, last, at = whole + 1, record[0], record[2]
        self.dropped += segment.frames - whole
        segment.frames, segment.size, segment.last = whole, at, last
        if segment is self._segments[-1]:
            self._close_write()  # never append behind a hole: the next record opens a segment of its own
        if segment is self._segments[0]:
            self._gone, self._gone_at = min(self._gone, whole), min(self._gone_at, at)
        if whole:
            _truncate(segment.path, at)
        else:
            self._segments.remove(segment)
            _unlink(segment.path)

    def _drop_first(self) -> "None":
        self.dropped += self._segments[0].frames - self._gone
        self._remove_first()

    def _remove_first(self) -> "None":
        segment = self._segments.pop(0)
        if not self._segments:
            self._close_write()
        if self._read_path == segment.path:
            self._close_read()
        self._gone_at = self._gone = 0
        _unlink(segment.path)


def _names(folder: "str") -> "list[str]":
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        return sorted(os.listdir(folder))
    except OSError:
        return []  # a disk that cannot be used must not stop measuring: nothing kept, and every append will say why


def _write_whole(path: "str", data: "bytes") -> "None":
    part = path + ".part"
    try:
        with open(part, "wb") as file:
            file.write(data)
    except OSError:
        _unlink(part)
        raise
    os.replace(part, path)


def _unlink(path: "str") -> "None":
    try:
        os.unlink(path)
    except OSError:
        return  # gone already, or the disk turned read-only: a later start finds and counts it


def _truncate(path: "str", size: "int") -> "None":
    try:
        os.truncate(path, size)
    except OSError:
        return  # the size in memory rules; a later start cuts it again
