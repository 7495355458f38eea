"""Links and pictures of the documents lead to files of the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from repository import ROOT, files, name

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *files("docs", "examples", "python", suffixes={".md"})]
TARGET = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_local_links_lead_somewhere(document: Path) -> None:
    """Oracle: the file system. Links to the web are not followed."""
    targets = TARGET.findall(document.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    missing = [target for target in local if not (document.parent / target).exists()]
    assert not missing
