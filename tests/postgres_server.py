"A real PostgreSQL server for tests and benchmarks, in a folder of its own."

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import adbc_driver_postgresql.dbapi

SECRET = "s3'cr\\et/@:?#%&=ö"


def binary(name: str) -> Path:
    "Of the newest server that is installed; Debian keeps them off the PATH."
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    path = found[-1] if found else shutil.which(name)
    assert path, f"no {name} here: `make system` installs postgresql"
    return Path(path).resolve()


class Server:
    "A PostgreSQL server in a folder of its own, on 127.0.0.1 only."

    def __init__(self, folder: Path, port: int):
        self.folder, self.port = folder, port
        # it refuses to run as root
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        self.user = (names.get("postgres") or names["nobody"]) if os.getuid() == 0 else None
        if self.user:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        (folder / "secret").write_text(SECRET)
        os.chmod(folder / "secret", 0o644)
        self.run("initdb", "-A", "scram-sha-256", "-U", "ann", f"--pwfile={folder}/secret", "-E", "UTF8",
                 "--locale=C.UTF-8")
        with open(folder / "data" / "postgresql.conf", "a") as file:
            file.write(f"listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nfsync = off\n")
        self.run("pg_ctl", "start", "-w", "-l", f"{folder}/log")

    def run(self, name: str, *arguments: str) -> None:
        as_user = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}
        subprocess.run([binary(name), "-D", self.folder / "data", *arguments], check=True, cwd=self.folder, timeout=120,
                       env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
                       stdout=subprocess.DEVNULL, **as_user)

    def url(self, asked: str = "", user: str = "ann", password: str = SECRET, database: str = "postgres",
            port: int | None = None) -> str:
        word = f":{quote(password, safe='')}" if password else ""
        return f"postgresql://{user}{word}@127.0.0.1:{port or self.port}/{database}?{asked}"

    def do(self, *statements: str, database: str = "postgres") -> list[tuple]:
        with adbc_driver_postgresql.dbapi.connect(self.url("client_encoding=UTF8", database=database),
                                                  autocommit=True) as connection:
            for statement in statements:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
                    rows = cursor.fetchall() if cursor.description else []
            return rows
