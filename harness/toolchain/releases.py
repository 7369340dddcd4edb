"""The official release archives, checked against the release's own list of SHA-256 sums."""

from __future__ import annotations

import hashlib
import re
import tarfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import requests

from harness.toolchain.attempts import HostUnreachable, Progress, SourceFailed, within
from harness.toolchain.store import StagedTool
from harness.toolchain.tools import ReleaseProject, ToolSpec, matches_prefix, parse_version

OFFICIAL = "https://github.com/prometheus"

_CONNECT_S = 3.0
_ANSWER_S = 5.0  # from the name lookup to the list of sums; after that the host is known to be there
_STALL_S = 15.0
_DOWNLOAD_S = 600.0
_MAX_SUMS = 1 << 20
_MAX_ARCHIVE = 1 << 30
_CHUNK = 1 << 18
_SUM_LINE = re.compile(r"([0-9a-fA-F]{64})\s+\*?(\S+)")


def release_version(project: ReleaseProject, prefix: str) -> str:
    """The version to fetch: the first pinned one with that prefix, or the prefix itself if it is a whole version."""
    for release in project.releases:
        version = parse_version(release)
        if version is not None and matches_prefix(version, prefix):
            return release
    if prefix.count(".") == 2:
        return prefix
    raise SourceFailed(
        f"no release pinned for {project.name} {prefix} (pinned: {', '.join(project.releases)}); "
        f"ask for a whole version such as {prefix}{'.0' * (2 - prefix.count('.'))}"
    )


def fetch_release(
    tools: Sequence[ToolSpec], version: str, platform: str, base_url: str, staging: Path, progress: Progress
) -> list[StagedTool]:
    """Download, check and unpack the tools of one project into ``staging``.

    Raises SourceFailed with one line (HostUnreachable if there was no answer at all), OSError if ``staging`` cannot
    be written.
    """
    project = tools[0].project
    stem = f"{project.name}-{version}.{platform}"
    archive_name = f"{stem}.tar.gz"
    folder_url = f"{base_url.rstrip('/')}/{project.name}/releases/download/v{version}"
    host = urlsplit(base_url).hostname or "the release host"
    with requests.Session() as session:
        sums = _get_sums(session, f"{folder_url}/sha256sums.txt", f"{project.name} v{version}", host)
        wanted = sums.get(archive_name)
        if wanted is None:
            raise SourceFailed(f"{project.name} v{version} on {host}: no build for {platform}")
        progress(f"fetching {archive_name} from {host}")
        archive = staging / "archive.tar.gz"
        actual = _download(session, f"{folder_url}/{archive_name}", archive, f"{archive_name} on {host}")
    if actual != wanted:
        raise SourceFailed(
            f"{archive_name} on {host}: its SHA-256 is {actual[:12]}…, the release's list says {wanted[:12]}…; not used"
        )
    found = _unpack(archive, stem, tools, staging, archive_name)
    archive.unlink()
    return found


def _get_sums(session: requests.Session, url: str, what: str, host: str) -> dict[str, str]:
    def get() -> bytes:
        with session.get(url, timeout=(_CONNECT_S, _ANSWER_S), stream=True) as response:
            _check_status(response, f"{what} on {host}")
            return response.raw.read(_MAX_SUMS, decode_content=True) or b""

    try:
        text = within(_ANSWER_S, get).decode("utf-8", "replace")
    except TimeoutError as err:
        raise HostUnreachable(f"{host}: {err}") from err
    except requests.RequestException as err:
        raise HostUnreachable(f"{host}: {_why(err)}") from err
    except Exception as err:  # what urllib3 raises below a streamed response is no RequestException
        if isinstance(err, SourceFailed):
            raise
        raise SourceFailed(f"{what} on {host}: the list of sums could not be read") from err
    return {name: digest.lower() for digest, name in _SUM_LINE.findall(text)}


def _check_status(response: requests.Response, what: str) -> None:
    if response.status_code == 404:
        raise SourceFailed(f"{what}: no such release (HTTP 404)")
    if response.status_code != 200:
        raise SourceFailed(f"{what}: HTTP {response.status_code}")


def _download(session: requests.Session, url: str, target: Path, what: str) -> str:
    """Write the body to ``target``; its SHA-256."""
    digest, size = hashlib.sha256(), 0
    deadline = time.monotonic() + _DOWNLOAD_S
    try:
        with session.get(url, timeout=(_CONNECT_S, _STALL_S), stream=True) as response, target.open("wb") as stream:
            _check_status(response, what)
            for chunk in response.iter_content(_CHUNK):
                size += len(chunk)
                if size > _MAX_ARCHIVE or time.monotonic() > deadline:
                    raise SourceFailed(f"{what}: the download is too {'large' if size > _MAX_ARCHIVE else 'slow'}")
                digest.update(chunk)
                stream.write(chunk)
            expected = response.headers.get("Content-Length", "")
            encoded = response.headers.get("Content-Encoding")
    except requests.RequestException as err:
        raise SourceFailed(f"{what}: {_why(err)} after {size} bytes") from err
    if expected.isdigit() and not encoded and int(expected) != size:
        raise SourceFailed(f"{what}: the download broke off after {size} of {expected} bytes")
    return digest.hexdigest()


def _why(err: requests.RequestException) -> str:
    """One short clause; never the exception's own text, which may quote a proxy with its password."""
    text = str(err)
    if isinstance(err, requests.exceptions.ProxyError):
        return "the proxy refused or did not answer"
    if isinstance(err, requests.exceptions.SSLError):
        return "its TLS certificate could not be verified"
    if isinstance(err, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(err, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
        return "the download broke off"
    for sign, clause in (
        ("NameResolution", "its name could not be resolved"),
        ("Name or service not known", "its name could not be resolved"),
        ("Temporary failure in name", "its name could not be resolved"),
        ("refused", "connection refused"),
        ("unreachable", "network unreachable"),
        ("timed out", "no answer in time"),
    ):
        if sign in text:
            return clause
    if isinstance(err, requests.ConnectionError):
        return "the connection broke"
    return "the request failed"


def _unpack(archive: Path, stem: str, tools: Sequence[ToolSpec], staging: Path, what: str) -> list[StagedTool]:
    """Copy the executables out of the archive; no other member is ever written."""
    wanted = {f"{stem}/{tool.name}": tool for tool in tools}
    found = []
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                parts = PurePosixPath(member.name).parts
                if member.name.startswith("/") or ".." in parts:
                    raise SourceFailed(f"{what} holds a path that leads outside (`{member.name}`); not used")
                tool = wanted.pop(str(PurePosixPath(*parts)) if parts else "", None)
                source = tar.extractfile(member) if tool is not None and member.isreg() else None
                if tool is None or source is None:
                    continue
                if member.size > _MAX_ARCHIVE:
                    raise SourceFailed(f"{what}: {tool.name} is too large ({member.size} bytes)")
                target = staging / f"fetched-{tool.name}"
                with target.open("wb") as stream:
                    while chunk := source.read(_CHUNK):
                        stream.write(chunk)
                found.append(StagedTool(tool, target, "release"))
    except (tarfile.TarError, EOFError, zlib.error) as err:
        raise SourceFailed(f"{what} is damaged: {err or 'it ends too early'}") from err
    except OSError as err:
        if err.errno is None:  # gzip.BadGzipFile is an OSError without a number
            raise SourceFailed(f"{what} is damaged: {err}") from err
        raise
    if wanted:
        raise SourceFailed(f"{what} holds no {' and no '.join(tool.name for tool in wanted.values())}")
    return found
