"""Backups of a store that is being written to, and stores made of them, which leave the old accounts alone at first."""

import pathlib
import re
import shutil
import sqlite3
import stat
import subprocess
import threading

import pytest

from daemon import poll
from job import Job, gone
from lease_cli import run
from offline import Configured
from openmetrics import scrape
from privilege import as_root


@pytest.fixture
def job(server):
    with Job(server, leased=Configured()) as job:
        yield job.set_up()


def backup(job, name="copy", *args, **kwargs):
    path = job.leased.dir / name
    done = job.leased.command("backup", path, *args, **kwargs)
    return path, done


def restored(job, path, **kwargs):
    """A second leased, with the first one's key, on a store made of the backup; it does not run yet."""
    other = Configured(key=job.leased.key, start=False)
    done = other.command("restore", path, **kwargs)
    return other, done


def restore_and_start(job, path):
    other, done = restored(job, path)
    assert done.returncode == 0, done.stderr
    other.start()
    return Job(job.server, leased=other)


def ready(job):
    """Its connection is open again after a start."""
    return poll(lambda: job.leased.get("database/creds/app").status == 200, 20, what="a mint after the start")


def test_a_backup_while_mints_go_on_is_whole_private_and_opens_with_the_root_key(job):
    failures, over = [], threading.Event()

    def mint():
        while not over.is_set():
            if job.leased.get("database/creds/app").status != 200:
                failures.append("a mint failed")

    minting = threading.Thread(target=mint)
    minting.start()
    try:
        path, done = backup(job, "copy", "--with-key-check")
    finally:
        over.set()
        minting.join()
    assert done.returncode == 0 and "opens all" in done.stderr and "pages" in done.stderr, done.stderr
    assert not failures
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in path.parent.iterdir() if entry.name.startswith("copy")) == ["copy"]
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("ended", ["stopped", "killed"])
def test_a_store_on_a_disk_that_became_read_only_can_still_be_copied(job, ended, tmp_path):
    job.mint()
    data = job.leased.dir / "data"
    job.leased.stop() if ended == "stopped" else job.leased.kill()
    assert (data / "leased.db-wal").exists() == (ended == "killed")
    for command in (["mount", "--bind", data, data], ["mount", "-o", "remount,bind,ro", data]):
        subprocess.run(as_root([str(word) for word in command]), check=True, capture_output=True)
    try:
        done = job.leased.command("backup", tmp_path / "copy", "--with-key-check")
        assert done.returncode == 0 and "opens all" in done.stderr, done.stderr
    finally:
        subprocess.run(as_root(["umount", str(data)]), check=True)
    other, done = restored(job, tmp_path / "copy")
    with other:
        assert done.returncode == 0, done.stderr


def test_a_backup_is_never_overwritten_without_force_and_never_stands_in_for_a_store(job):
    path, done = backup(job)
    assert done.returncode == 0, done.stderr
    before = path.read_bytes()
    _, again = backup(job)
    assert again.returncode == 1 and "--force" in again.stderr and path.read_bytes() == before
    _, forced = backup(job, "copy", "--force")
    assert forced.returncode == 0, forced.stderr
    job.leased.stop()
    shutil.copy(path, job.leased.database)
    job.leased.start(wait=False)
    assert job.leased.wait_exit() == 1 and "leased restore" in job.leased.output(this_start_only=True)


def test_force_replaces_a_backup_and_nothing_else(job):
    leased = job.leased
    other = leased.dir / "notes"
    other.write_text("somebody's notes\n")
    directory, link = leased.dir / "directory", leased.dir / "link"
    directory.mkdir()
    link.symlink_to(other)
    before = leased.key.read_bytes()
    for target in (leased.key, leased.dir / "leased.hcl", other, directory, link, leased.database, "/dev/null",
                   leased.data / "new", "-"):
        done = leased.command("backup", target, "--force")
        assert done.returncode == 1 and "name" in done.stderr, (target, done.stderr)
    assert leased.key.read_bytes() == before and other.read_text() == "somebody's notes\n"
    assert stat.S_ISCHR(pathlib.Path("/dev/null").stat().st_mode)
    assert sorted(path.name for path in leased.data.iterdir() if path.name.startswith("new")) == []
    assert job.mint() and leased.get("sys/health").status == 200
    beside = leased.dir / "fresh.tmp"
    beside.write_text("somebody's draft\n")
    done = leased.command("backup", leased.dir / "fresh")
    assert done.returncode == 1 and "in the way" in done.stderr and beside.read_text() == "somebody's draft\n"
    empty = leased.dir / "empty"
    empty.touch()
    assert leased.command("backup", empty, "--force", "--with-key-check").returncode == 0


@pytest.mark.parametrize("point", ["store_copy_pages", "store_backup_rename"])
def test_a_killed_backup_leaves_no_file_of_its_name_and_the_next_one_is_whole(job, point):
    path, killed = backup(job, failpoint=f"{point}=kill")
    assert killed.returncode == -9 and not path.exists()
    _, done = backup(job, "copy", "--with-key-check")
    assert done.returncode == 0 and not path.with_suffix(".tmp").exists(), done.stderr


def test_a_backup_without_room_says_so_and_leaves_nothing(job):
    path, done = backup(job, failpoint="store_copy_pages=error:nospace")
    assert done.returncode == 1 and not list(path.parent.glob("copy*")), done.stderr


def test_a_backup_with_a_damaged_row_fails_its_key_check(job):
    job.mint()
    job.leased.stop()
    with sqlite3.connect(job.leased.database) as database:
        database.execute("UPDATE lease SET sealed = zeroblob(length(sealed)) WHERE kind = 1")
    path, done = backup(job, "copy", "--with-key-check")
    assert done.returncode == 1 and "lease number" in done.stderr, done.stderr


def test_a_backup_that_fails_its_key_check_leaves_the_last_good_one(job):
    job.mint()
    path, done = backup(job, "copy", "--with-key-check")
    assert done.returncode == 0, done.stderr
    good = path.read_bytes()
    job.leased.stop()
    with sqlite3.connect(job.leased.database) as database:
        database.execute("UPDATE doc SET sealed = zeroblob(80) WHERE kind = 'connection'")
    _, done = backup(job, "copy", "--force", "--with-key-check")
    assert done.returncode == 1 and "connection 1/main does not open" in done.stderr, done.stderr
    assert path.read_bytes() == good and [found.name for found in path.parent.glob("copy*")] == ["copy"]


def test_a_restored_store_leaves_old_accounts_alone_until_it_is_released(job):
    assert job.role("short", default_ttl="3s").status == 204
    kept, short, renewed = job.mint(), job.mint("short"), job.mint()
    path, done = backup(job)
    assert done.returncode == 0, done.stderr
    newer = job.mint()  # is in no store
    job.leased.kill()  # the machine is lost
    with restore_and_start(job, path) as new:
        leased = new.leased
        ready(new)
        health = leased.get("sys/health")
        assert health.status == 200 and health.json["held"] is True
        old_tag = leased.get("sys/restore").data["old_tag"]
        assert old_tag == kept.user.split("-")[1]
        said = [line for line in leased.output().splitlines() if "restored from a backup and is held" in line]
        assert said and old_tag in said[0] and "lease restore release --takeover" in said[0], said
        shown = run(leased, "restore", "status")
        assert shown.returncode == 0 and re.search(rb"since +20\d\d-\d\d-\d\dT\d\d:", shown.stdout), shown
        fresh = new.mint("short")
        assert fresh.user.split("-")[1] != old_tag
        poll(lambda: gone(new, fresh), 20, what="the end of a lease that was made in hold")
        # what was overdue meanwhile, what is revoked by hand and in bulk: recorded, and not done
        refused = new.revoke(kept)
        assert refused.status == 503 and "lease restore release --takeover" in refused.error, refused
        assert new.renew(renewed).status == 503
        told = run(leased, "revoke", kept.lease_id)
        assert told.returncode == 6 and b"--takeover" in told.stderr, told
        assert leased.put("sys/leases/revoke-prefix/database/creds/short", {"sync": False}).status in (200, 202, 204)
        poll(lambda: leased.get("sys/health").json["held_leases_waiting"] >= 2, 40, what="the count of what waits")
        poll(lambda: leased.get("sys/health").json["overdue"] == 0, 20, what="a count without those that wait")
        listed = leased.get("sys/leases?type=irrevocable").data["leases"]
        waits = [row for row in listed if row["account"] in (kept.user, short.user)]
        assert len(waits) == 2 and all("lease restore release --takeover" in row["error"] for row in waits), listed
        page = scrape(leased)
        assert page.value("leased_held") == 1 and page.value("leased_leases_held") >= 2
        for old in (kept, short, renewed):
            assert old.user in new.accounts()
        assert job.server.can_login(kept.user, kept.password)
        without = leased.post("sys/restore/release", {})
        assert without.status == 400 and old_tag in without.error, without
        leased.restart()
        ready(new)
        assert leased.get("sys/health").json["held"] is True and kept.user in new.accounts()
        assert run(leased, "restore", "release", "--takeover").returncode == 0
        for old in (kept, short):
            poll(lambda: gone(new, old), 20, what="the end of an old lease after the release")
        assert job.server.can_login(renewed.user, renewed.password)
        assert new.renew(renewed).status == 200
        assert "held" not in leased.get("sys/health").json
        leased.restart()
        ready(new)
        assert "held" not in leased.get("sys/health").json
        one, = leased.post("sys/leases/reconcile").data["connections"]
        assert [(found["what"], found["account"]) for found in one["findings"]] == [("unknown", newer.user)], one
        assert job.server.can_login(newer.user, newer.password)
        one, = leased.post("sys/leases/reconcile", {"fix": True}).data["connections"]
        assert one["removing"] == 1 and one["not_removed_yet"] == 0 and newer.user not in new.accounts(), one
        assert job.server.can_login(renewed.user, renewed.password)


def test_the_original_goes_on_undisturbed_while_a_restored_copy_is_held(job):
    first = job.mint()
    path, done = backup(job)
    assert done.returncode == 0, done.stderr
    with restore_and_start(job, path) as new:
        ready(new)
        second, theirs = job.mint(), new.mint()
        assert job.renew(first).status == 200
        assert job.revoke(second).status == 204 and gone(job, second)
        for credential in (first, theirs):
            assert job.server.can_login(credential.user, credential.password)
        number = {name: lease_number(c) for name, c in (("old", first), ("new", theirs))}
        assert number["new"] - number["old"] > 1 << 31


def lease_number(credential):
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    value = 0
    for digit in credential.lease_id.rsplit("/", 1)[1][:8]:
        value = value * 62 + digits.index(digit)
    return value


def test_a_restore_needs_an_empty_directory_the_right_key_and_a_whole_file(job):
    path, done = backup(job)
    assert done.returncode == 0, done.stderr
    other, done = restored(job, path)
    assert done.returncode == 0, done.stderr
    again = other.command("restore", path)
    assert again.returncode == 1 and "not empty" in again.stderr
    other.close()
    stranger = Configured()
    stranger.stop()
    shutil.rmtree(stranger.data)
    wrong = stranger.command("restore", path)
    assert wrong.returncode == 1 and "root key" in wrong.stderr and not stranger.database.exists()
    (stranger.dir / "half").write_bytes(path.read_bytes()[:20000])
    half = stranger.command("restore", stranger.dir / "half")
    assert half.returncode == 1 and not stranger.database.exists(), half.stderr
    stranger.close()


def test_a_restore_tells_what_does_not_open_and_makes_no_store_of_it_unless_told_to(job):
    credential = job.mint()
    path, done = backup(job)
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(path) as copy:
        copy.execute("UPDATE lease SET sealed = zeroblob(length(sealed)) WHERE kind = 1")
        copy.execute("UPDATE doc SET sealed = zeroblob(80) WHERE kind = 'connection'")
    copy.close()
    other, done = restored(job, path)
    assert done.returncode == 1 and not other.database.exists(), done.stderr
    assert "lease number" in done.stderr and "connection 1/main does not open" in done.stderr, done.stderr
    assert "2 of" in done.stderr and "--despite-damage" in done.stderr, done.stderr
    done = other.command("restore", path, "--despite-damage")
    assert done.returncode == 0 and "lease number" in done.stderr, done.stderr
    other.start()
    other.put("sys/leases/lookup", {"lease_id": credential.lease_id})  # whoever meets it puts it there
    poll(lambda: other.get("sys/health").json["quarantined"] == 2, 20, what="both rows in quarantine")
    other.close()


@pytest.mark.parametrize("bytes_of_it", [b"-----BEGIN CERTIFICATE-----\n", b"x", b"SQLite format 4\0" * 64])
def test_a_restore_of_what_is_no_backup_says_so(job, bytes_of_it):
    foreign = job.leased.dir / "foreign"
    foreign.write_bytes(bytes_of_it)
    other, done = restored(job, foreign)
    assert done.returncode == 1 and "is no backup of leased" in done.stderr and "damaged" not in done.stderr, done.stderr
    other.close()


@pytest.mark.parametrize("point", ["store_copy_pages", "store_restore_change", "store_commit_before",
                                   "store_restore_rename", "store_restore_after"])
def test_a_killed_restore_is_whole_or_nothing(job, point):
    path, done = backup(job)
    assert done.returncode == 0, done.stderr
    other, killed = restored(job, path, failpoint=f"{point}=kill")
    if point == "store_commit_before":
        assert killed.returncode == 0  # a point of the daemon's own commits: the restore has none
    else:
        assert killed.returncode == -9, killed.stderr
    if not other.database.exists():
        other.start(wait=False)
        assert other.wait_exit() == 1 and "broken off" in other.output(this_start_only=True)
        done = other.command("restore", path)
        assert done.returncode == 0, done.stderr
    other.start()
    assert other.get("sys/health").json["held"] is True
    assert other.fsck().returncode == 2  # it runs
    other.stop()
    assert other.fsck().returncode == 0
    other.close()


@pytest.mark.parametrize("point", ["lease_hold_before_release", "store_hold_release", "lease_hold_after_release"])
def test_a_release_that_is_killed_is_made_or_not(job, point):
    kept = job.mint()
    path, done = backup(job)
    assert done.returncode == 0, done.stderr
    job.leased.kill()
    other, done = restored(job, path)
    assert done.returncode == 0, done.stderr
    other.start(failpoint=f"{point}=kill")
    with Job(job.server, leased=other) as new:
        try:
            other.post("sys/restore/release", {"takeover": True})
        except OSError:
            pass
        except Exception as error:  # the answer is lost with the daemon
            assert "closed" in str(error) or "Remote" in type(error).__name__, error
        assert other.wait_exit() == -9
        other.start()
        ready(new)
        if other.get("sys/health").json.get("held"):
            assert point != "lease_hold_after_release"
            assert other.post("sys/restore/release", {"takeover": True}).status in (200, 204)
        assert new.revoke(kept).status == 204 and gone(new, kept)


def test_no_password_is_changed_while_a_restored_store_is_held(job, server):
    server.sql("CREATE ROLE held_static LOGIN PASSWORD 'before'; CREATE ROLE held_other LOGIN PASSWORD 'before'")
    try:
        body = {"db_name": "main", "username": "held_static", "rotation_period": "1h"}
        assert job.leased.post("database/static-roles/held", body).status == 204
        password = job.leased.get("database/static-creds/held").data["password"]
        path, done = backup(job)
        assert done.returncode == 0, done.stderr
        with restore_and_start(job, path) as new:
            ready(new)
            for path, given, status in (("rotate-role/held", {}, 503), ("rotate-root/main", {}, 503),
                                        ("static-roles/more", body | {"username": "held_other"}, 400)):
                refused = new.leased.post(f"database/{path}", given)
                assert refused.status == status and "lease restore release --takeover" in refused.error, refused
            assert server.can_login("held_static", password) and server.can_login("held_other", "before")
            assert new.leased.get("database/static-creds/held").data["password"] == password
            assert new.leased.post("sys/restore/release", {"takeover": True}).status == 204
            assert new.leased.post("database/rotate-role/held").status == 204
            fresh = new.leased.get("database/static-creds/held").data["password"]
            assert fresh != password and server.can_login("held_static", fresh)
    finally:
        job.leased.stop()
        server.sql("DROP ROLE held_static; DROP ROLE held_other")


def test_a_static_roles_password_that_the_original_changed_is_warned_of_and_changed_at_the_release(job, server):
    server.sql("CREATE ROLE rolled LOGIN PASSWORD 'before'; CREATE ROLE stays LOGIN PASSWORD 'before'")
    try:
        for name in ("rolled", "stays"):
            body = {"db_name": "main", "username": name, "rotation_period": "24h"}
            assert job.leased.post(f"database/static-roles/{name}", body).status == 204
        kept = job.leased.get("database/static-creds/stays").data["password"]
        path, done = backup(job)
        assert done.returncode == 0, done.stderr
        assert job.leased.post("database/rotate-role/rolled").status == 204
        job.leased.stop()
        with restore_and_start(job, path) as new:
            ready(new)
            held = new.leased.get("database/static-creds/rolled")
            assert "--takeover" in str(held.warnings) and not server.can_login("rolled", held.data["password"])
            assert run(new.leased, "restore", "release", "--takeover").returncode == 0
            good = poll(lambda: (told := new.leased.get("database/static-creds/rolled")).status == 200
                        and not told.warnings and told, 10, what="a password that was tried")
            assert server.can_login("rolled", good.data["password"])
            poll(lambda: not new.leased.get("database/static-creds/stays").warnings, 10, what="the other one's trial")
            assert new.leased.get("database/static-creds/stays").data["password"] == kept
            assert server.can_login("stays", kept)
    finally:
        server.sql("DROP ROLE rolled; DROP ROLE stays")


def test_a_backup_of_before_the_last_rotate_root_needs_a_new_password_from_a_superuser(job, server):
    """As docs/how-to/when-something-is-wrong.md has it."""
    server.sql("CREATE ROLE rooted LOGIN CREATEROLE PASSWORD 'first-password'; GRANT pg_signal_backend TO rooted; "
               f"GRANT {server.group_role} TO rooted WITH ADMIN OPTION")
    try:
        assert job.configure("rooted", username="rooted", password="first-password").status in (200, 204)
        assert job.role("viaroot", db_name="rooted").status in (200, 204)
        kept = job.mint("viaroot")
        path, done = backup(job)
        assert done.returncode == 0, done.stderr
        assert job.leased.post("database/rotate-root/rooted").status == 204
        job.leased.kill()
        with restore_and_start(job, path) as new:
            poll(lambda: (told := new.leased.get("database/creds/viaroot")).status == 503
                 and "password authentication failed" in told.error, 20, what="a refusal that says why")
            server.sql("ALTER ROLE rooted PASSWORD 'from-the-superuser'")
            word = new.leased.dir / "password"
            word.write_text("from-the-superuser")
            word.chmod(0o600)
            told = run(new.leased, "write", "database/config/rooted", f"password=@{word}")
            assert told.returncode == 0, told
            poll(lambda: new.leased.get("database/creds/viaroot").status == 200, 20, what="a mint with the new password")
            assert run(new.leased, "restore", "release", "--takeover").returncode == 0
            assert run(new.leased, "write", "database/rotate-root/rooted").returncode == 0
            assert not server.can_login("rooted", "from-the-superuser")
            poll(lambda: new.revoke(kept).status == 204, 20, what="the end of a lease of before")
            new.leased.put("sys/leases/revoke-prefix/database/creds/viaroot", {"sync": True})
    finally:
        server.sql("DROP OWNED BY rooted; DROP ROLE rooted")


@pytest.mark.parametrize("kept", [True, False], ids=["with the audit's file", "without it"])
def test_the_audit_goes_on_behind_a_restore_and_tells_of_the_release(job, kept):
    job.leased.stop()
    job.leased.config += 'audit "file" { path = "{dir}/audit.log" }\n'
    job.leased.start()
    log = job.leased.dir / "audit.log"
    path, done = backup(job)
    assert done.returncode == 0, done.stderr
    job.mint()
    job.leased.stop()
    other, done = restored(job, path)
    assert done.returncode == 0, done.stderr
    other.config += 'audit "file" { path = "{dir}/audit.log" }\n'
    there = other.dir / "audit.log"
    if kept:
        shutil.copy(log, there)
    other.start()
    with Job(job.server, leased=other) as new:
        assert other.post("sys/restore/release", {"takeover": True}).status == 204
        ready(new)
        other.stop()
        assert '"sys/restore/release"' in there.read_text()
        verified = other.command("audit", "verify", there)
        assert verified.returncode == 0, verified.stdout + verified.stderr
