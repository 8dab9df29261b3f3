from __future__ import annotations

import errno
import hashlib
import http.server
import os
import subprocess
import sys
import tempfile
import threading

import pytest

from striate.core.errors import RunInUseError, StorageError, UnwritableError
from striate.core.storage import atomic, cache_folder, clear_leftovers, digest, download, file_digest, lock, read_json, write_json, write_text


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")

    def interrupted_write():
        with atomic(target) as stream:
            stream.write(b"half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_write()
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["weights.bin"]


def test_a_killed_write_leaves_the_old_file_and_a_leftover_that_is_cleared(tmp_path):
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")
    program = (
        "import os, signal, sys\nfrom striate.core.storage import atomic\n"
        "with atomic(sys.argv[1]) as stream:\n    stream.write(b'new' * 9999)\n    stream.flush()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert done.returncode == -9
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    clear_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.bin"]


def test_a_finished_write_replaces_makes_folders_and_keeps_the_usual_permissions(tmp_path):
    target = tmp_path / "a" / "b" / "note.txt"
    write_text(target, "ein Käfer")
    write_text(target, "zwei Käfer")
    assert target.read_bytes() == "zwei Käfer".encode()
    plain = tmp_path / "plain"
    plain.touch()
    assert target.stat().st_mode == plain.stat().st_mode


def refused(number):
    """What the system says, and of which file of its own."""

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), ".x.json.temporary.tmp")

    return refuse


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, r"x\.json: cannot be written \(permission denied\); choose another place"),
        (errno.EROFS, r"x\.json: cannot be written \(read-only file system\); choose another place"),
        (errno.ENOENT, r"x\.json: cannot be written \(no file can be made there\); choose another place"),
        (errno.ENOSPC, r"x\.json: cannot be written \(no space left on device\); free some space, or choose another place"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_by_the_file_asked_for(tmp_path, monkeypatch, number, said):
    monkeypatch.setattr(tempfile, "mkstemp", refused(number))
    with pytest.raises(StorageError, match=said) as told:
        write_json(tmp_path / "x.json", {})
    assert isinstance(told.value, OSError), "who takes a file that cannot be written lightly goes on doing so"
    assert told.value.errno == number
    assert "temporary" not in str(told.value)


def test_a_disk_that_fills_up_is_told_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", refused(errno.ENOSPC))
    with pytest.raises(UnwritableError, match=r"x\.json: cannot be written \(no space left"):
        write_json(tmp_path / "x.json", {})
    assert list(tmp_path.iterdir()) == []


def test_what_a_writer_meets_elsewhere_is_not_taken_for_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic(tmp_path / "x.json") as stream:
        stream.write((tmp_path / "elsewhere").read_bytes())


def test_folders_and_files_in_the_way_are_told(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UnwritableError, match=r"folder: cannot be written \(is a directory\)"):
        write_text(tmp_path / "folder", "")
    with pytest.raises(UnwritableError, match=r"file/x\.json: cannot be written \(.*file is a file\)"):
        write_text(tmp_path / "file" / "x.json", "")
    with pytest.raises(UnwritableError, match=r"file/run: cannot be written \(not a directory\)"), lock(tmp_path / "file" / "run" / ".lock"):
        pass
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file"))
    with pytest.raises(UnwritableError, match=r"file/packs: cannot be written \(not a directory\); set STRIATE_CACHE"):
        cache_folder("packs")


def test_json_comes_back_and_broken_json_names_its_file(tmp_path):
    write_json(tmp_path / "run.json", {"lr": 0.1, "classes": ["ä"]})
    assert read_json(tmp_path / "run.json") == {"lr": 0.1, "classes": ["ä"]}
    (tmp_path / "torn.json").write_text('{"lr": ')
    with pytest.raises(StorageError, match=r"torn\.json: not valid JSON"):
        read_json(tmp_path / "torn.json")
    with pytest.raises(StorageError, match=r"gone\.json: no such file"):
        read_json(tmp_path / "gone.json")


def test_the_cache_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "here"))
    assert cache_folder("packs", "digits") == tmp_path / "here" / "packs" / "digits"
    assert (tmp_path / "here" / "packs" / "digits").is_dir()


def test_digest_is_blake2b_over_lengths_and_bytes_so_borders_count():
    by_hand = hashlib.blake2b((2).to_bytes(8, "little") + b"ab" + (1).to_bytes(8, "little") + b"c", digest_size=16).hexdigest()
    assert digest("ab", b"c") == by_hand
    assert digest("a", "bc") != digest("ab", "c")
    assert digest("", "a") != digest("a")


def test_a_lock_held_by_another_process_refuses_a_second_holder(tmp_path):
    program = (
        "import sys\nfrom striate.core.storage import lock\n"
        "with lock(sys.argv[1]):\n    print('held', flush=True)\n    sys.stdin.readline()\n"
    )  # fmt: skip
    path = tmp_path / "run" / "lock"
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunInUseError, match="run is in use by another process"), lock(path, wait=0):
            pass
        with pytest.raises(RunInUseError, match="own words"), lock(path, wait=0, busy="own words"):
            pass
        holder.communicate("go\n")
    with lock(path, wait=0):
        pass


CONTENT = bytes(range(256)) * 4096
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()  # noqa: S324


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; /cut breaks off in the middle the first time, /wrong is another file, /plain ignores ranges."""

    asked: list[tuple[str, str | None]] = []  # noqa: RUF012 - reset by the fixture

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.asked.append((self.path, wanted))
        if self.path == "/missing":
            self.send_error(404)
            return
        start = int(wanted[len("bytes=") : -1]) if wanted and self.path != "/plain" else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = b"another file" if self.path == "/wrong" else CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(CONTENT) // 3] if self.path == "/cut" and not start else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    Server.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_download_is_verified_and_made_once(server, tmp_path):
    told = []
    for _ in range(2):
        target = download(f"{server}/file", tmp_path / "set.bin", checksum=MD5, progress=lambda done, total: told.append((done, total)))
    assert target.read_bytes() == CONTENT
    assert len(Server.asked) == 1
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert not (tmp_path / "set.bin.part").exists()


@pytest.mark.parametrize(("path", "first"), [("/cut", len(CONTENT) // 3), ("/plain", 5), ("/file", 70_000)])
def test_a_broken_download_is_resumed_where_the_server_can(server, tmp_path, path, first):
    (tmp_path / "set.bin.part").write_bytes(CONTENT[:first])
    assert download(server + path, tmp_path / "set.bin", checksum=MD5).read_bytes() == CONTENT
    assert Server.asked == [(path, f"bytes={first}-")]


def test_a_connection_that_breaks_off_keeps_what_came(server, tmp_path):
    with pytest.raises(StorageError, match=f"broke off after {len(CONTENT) // 3} of {len(CONTENT)} bytes"):
        download(f"{server}/cut", tmp_path / "set.bin", checksum=MD5)
    assert not (tmp_path / "set.bin").exists()
    assert (tmp_path / "set.bin.part").read_bytes() == CONTENT[: len(CONTENT) // 3]
    assert download(f"{server}/cut", tmp_path / "set.bin", checksum=MD5).read_bytes() == CONTENT


def test_a_whole_partial_file_is_taken(server, tmp_path):
    (tmp_path / "set.bin.part").write_bytes(CONTENT)
    assert download(f"{server}/file", tmp_path / "set.bin", checksum=MD5).read_bytes() == CONTENT


def test_a_wrong_file_is_discarded_with_both_checksums(server, tmp_path):
    with pytest.raises(StorageError, match=f"md5 is {hashlib.md5(b'another file').hexdigest()}, expected {MD5[4:]}"):  # noqa: S324
        download(f"{server}/wrong", tmp_path / "set.bin", checksum=MD5)
    assert not list(tmp_path.glob("set.bin*[!k]"))  # only the .lock may stay


def test_a_server_that_says_no_is_quoted_with_the_way_by_hand(server, tmp_path):
    with pytest.raises(StorageError, match=r"answered 404 .* Download it yourself and put it at .*set\.bin, or set STRIATE_DATA"):
        download(f"{server}/missing", tmp_path / "set.bin", checksum=MD5)


def test_no_network_is_said_plainly(tmp_path):
    with pytest.raises(StorageError, match="cannot be reached"):
        download("http://127.0.0.1:9/file", tmp_path / "set.bin", checksum=MD5)


def test_file_digest_is_the_standard_one(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert file_digest(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
