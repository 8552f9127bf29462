"""Words and signs of shell lines that cmdlets are read by."""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"(?P<blank>[ \t]+)"
    r"|(?P<end>\n|;|\|\|?|&&?)"
    r"|(?P<open>[$@]?\(|@?\{)"
    r"|(?P<close>[)}])"
    r"|(?P<string>\"[^\"]*\"|'[^']*')"
    r"|(?P<word>[^\s;|&{}()\"'=,<>]+)"
    r"|(?P<mark>.)",
    re.DOTALL,
)


CMDLET = re.compile(r"[a-z]+-\w+")


NAMES = re.compile(r"\b[a-z]+-\w+", re.IGNORECASE)


SCRIPT = re.compile(r"\.(?:ps1|psm1|bat|cmd|exe)$")


FROM_CMD = re.compile(r"[%!][^%!\s]+[%!]")


ASSIGNED = re.compile(r" ?[-+*/%]?=")


TRIED = re.compile(
    r"-(?:wi|wh|wha|what|whati|whatif)(?:: ?\$?(?:true|1))?(?![^\s\"'});|&,])", re.IGNORECASE
)


COMPARES = re.compile(r"-[ci]?(?:not)?(?:like|match|eq|ne|contains|in)")


KEYWORDS = frozenset(
    "if elseif else while until for foreach do try catch finally return throw exit begin process"
    " end param switch in call".split()
)


# Looks up or searches for its arguments, as does every cmdlet with one of the verbs.
_ASKERS = frozenset(
    "gcm help man findstr find grep sls where ? type cat more gc gci dir ls".split()
)


_ASKING_VERBS = frozenset(
    "get search find select where test measure compare trace sort group format show".split()
)


_TELLERS = frozenset("echo write set rem title".split())


_TELLING_VERBS = frozenset("write out".split())


RUNS_TEXT = frozenset(("iex", "invoke-expression"))


CALLS_TEXT = re.compile(
    r"scriptblock\]|\.(?:invoke\w*|addscript|addcommand|newscriptblock|createpipeline)\s?\(",
    re.IGNORECASE,
)


KEEPS_TEXT = re.compile(
    r"\b(?:set-alias|new-alias|sal|nal|doskey)\b|\b(?:alias|function):"
    r"|>[^|;&>]{0,200}\.(?:ps1|psm1|bat|cmd)\b",
    re.IGNORECASE,
)


WRITES = re.compile(r"\b(?:set-content|add-content|out-file|tee-object|sc|ac|tee)\b", re.I)


WRITTEN = re.compile(r"\.(?:ps1|psm1|bat|cmd)\b", re.IGNORECASE)


def asks(name: str) -> bool:
    return name in _ASKERS or ("-" in name and name.partition("-")[0] in _ASKING_VERBS)


def tells(name: str) -> bool:
    return name in _TELLERS or ("-" in name and name.partition("-")[0] in _TELLING_VERBS)
