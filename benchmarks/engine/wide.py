"""Process events with all columns that Defender's table has, made from the generator's few.

Values are as long as real ones are, and as often null: a process's and its parent's hashes, version
information, accounts and times. What the hunts look for is as it was.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from benchmarks.engine.project import THREADS

SOURCE = "DeviceProcessEvents"
_PROGRAMS = ("Microsoft Corporation", "Google LLC", "Adobe Inc.", "")
_PRODUCTS = (
    "Microsoft® Windows® Operating System", "Google Chrome", "Adobe Acrobat Update Service", "",
)  # fmt: skip
_VERSION = """
    {programs}[1 + {h} % 4] as {prefix}CompanyName,
    {products}[1 + {h} % 4] as {prefix}ProductName,
    '10.0.' || 19041 + {h} % 4000 || '.' || {h} % 6000 as {prefix}ProductVersion,
    {file} as {prefix}InternalFileName,
    upper({file}) as {prefix}OriginalFileName,
    'Host Process for ' || {file} as {prefix}FileDescription,"""
_ACCOUNT = """
    {domain} as {prefix}AccountDomain,
    {name} as {prefix}AccountName,
    {sid} as {prefix}AccountSid,
    case when {h} % 3 > 0 then lower({name}) || '@corp.example.com' end as {prefix}AccountUpn,
    case when {h} % 3 > 0 then md5({name})::uuid::varchar end as {prefix}AccountObjectId,"""
_HASHES = """
    left(md5({h}::varchar) || md5(({h} + 2)::varchar), 40) as {prefix}SHA1,
    {sha256} as {prefix}SHA256,
    md5(({h} + 3)::varchar) as {prefix}MD5,
    ({h} % 9000000)::bigint as {prefix}FileSize,"""
_INITIATING = "InitiatingProcess"


def _select() -> str:
    versions = {"programs": list(_PROGRAMS), "products": list(_PRODUCTS)}
    own = {"prefix": "", "h": "h"}
    parent = {"prefix": _INITIATING, "h": "p"}
    parts = [
        """select "Timestamp", DeviceId || left(DeviceId, 8) as DeviceId, DeviceName, ActionType,
        FileName, FolderPath || '\\' || FileName as FolderPath,""",
        _HASHES.format(**own, sha256="SHA256"),
        _VERSION.format(prefix="ProcessVersionInfo", h="h", file="FileName", **versions),
        """ProcessId, ProcessCommandLine,
        ['System', 'Medium', 'High'][1 + h % 3] as ProcessIntegrityLevel,
        'TokenElevationTypeDefault' as ProcessTokenElevation,
        "Timestamp" - to_milliseconds(h % 900) as ProcessCreationTime,""",
        _ACCOUNT.format(**own, domain="AccountDomain", name="AccountName", sid="AccountSid"),
        "(h % 90000000)::bigint as LogonId,",
        _ACCOUNT.format(**parent, domain="'NT AUTHORITY'", name="'system'", sid="'S-1-5-18'"),
        """999::bigint as InitiatingProcessLogonId, 'System' as InitiatingProcessIntegrityLevel,
        'TokenElevationTypeDefault' as InitiatingProcessTokenElevation,""",
        _HASHES.format(**parent, sha256="md5(p::varchar) || md5((p + 5)::varchar)"),
        "InitiatingProcessFileName,",
        _VERSION.format(
            prefix="InitiatingProcessVersionInfo",
            h="p",
            file="InitiatingProcessFileName",
            **versions,
        ),
        """(p % 60000)::bigint as InitiatingProcessId, InitiatingProcessCommandLine,
        "Timestamp" - to_seconds(p % 90000) as InitiatingProcessCreationTime,
        'c:\\windows\\' || InitiatingProcessFileName as InitiatingProcessFolderPath,
        (p % 50000)::bigint as InitiatingProcessParentId,
        'userinit.exe' as InitiatingProcessParentFileName,
        "Timestamp" - to_seconds(90000 + p % 9000) as InitiatingProcessParentCreationTime,
        'OsVendor' as InitiatingProcessSignerType,
        'Valid' as InitiatingProcessSignatureStatus,
        ReportId, '' as AppGuardContainerId,
        case when h % 4 = 0 then '{"InitiatingProcessPosixEffectiveUser":null}' end
            as AdditionalFields,
        '6f2c8b9e-1d34-4c55-9a0b-77e1d2c3b4a5' as TenantId""",
    ]
    return "\n".join(parts) + (
        " from (select *, (hash(ReportId) >> 2)::bigint as h,"
        " (hash(ReportId // 7) >> 2)::bigint as p"
        " from read_parquet({path}, hive_partitioning = false))"
    )


def write(lake: Path, target: Path) -> Path:
    """Writes a lake of process events with all columns, from one with few; once."""
    mark, what = target / ".written", _select() + (lake / ".written").read_text()
    if mark.exists() and mark.read_text() == what:
        return target
    shutil.rmtree(target, ignore_errors=True)
    with duckdb.connect(config={"threads": THREADS}) as con:
        con.execute("set timezone = 'UTC'")
        for path in sorted((lake / SOURCE).rglob("*.parquet")):
            wide = target / path.relative_to(lake)
            wide.parent.mkdir(parents=True)
            sql = _select().replace("{path}", f"'{path}'")
            con.execute(f"copy ({sql}) to '{wide}' (format parquet, compression 'zstd')")
    mark.write_text(what)
    return target
