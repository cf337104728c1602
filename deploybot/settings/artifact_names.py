"""Types for the names of built files, and of the runs and jobs that build them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_NAME = re.compile(r"[\w.+@-]{1,200}", re.ASCII)
_WORKFLOW = re.compile(r"[\w. +@-]{1,200}\.ya?ml", re.ASCII)
_LONGEST = 255
_NEVER_IN_ACTIONS = frozenset('"<>:|*?/\\')
"""What a name of an artifact of GitHub Actions cannot have (actions/toolkit, path-and-artifact-name-validation)."""


def _artifact_name(text: str) -> str:
    plain = text.replace("{ref}", "ref").replace("{sha}", "sha")
    if not _NAME.fullmatch(plain) or plain.startswith((".", "-")):
        raise ValueError('should be the name of a file, such as "site-{ref}.tar.gz"')
    return text


def _actions_artifact(text: str) -> str:
    if not 0 < len(text) <= _LONGEST or not text.isprintable() or _NEVER_IN_ACTIONS & {*text}:
        raise ValueError("should be the name that the workflow gives to upload-artifact")
    return text


def _workflow_file(text: str) -> str:
    if not _WORKFLOW.fullmatch(text) or text.startswith("."):
        raise ValueError('should be the name of a file in .github/workflows, such as "build.yml"')
    return text


def _job_name(text: str) -> str:
    if not 0 < len(text) <= _LONGEST or not text.isprintable():
        raise ValueError('should be the name of a job in .gitlab-ci.yml, such as "build"')
    return text


ArtifactName = Annotated[str, AfterValidator(_artifact_name)]
ActionsArtifact = Annotated[str, AfterValidator(_actions_artifact)]
WorkflowFile = Annotated[str, AfterValidator(_workflow_file)]
JobName = Annotated[str, AfterValidator(_job_name)]
