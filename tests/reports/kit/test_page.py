"""The page around its sections, in a browser's eyes."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from edgekit.reports.kit.markup import Markup, table
from edgekit.reports.kit.page import page

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [["one", "1,000", "b"], ["two", "20", "a"], ["three", "–", "c"]]
CLICKS = """
<script>
addEventListener("load", () => {
  const order = () => [...document.querySelectorAll("tbody tr")].map(row => row.cells[0].textContent).join();
  const found = [];
  for (const [title, times] of [[1, 2], [2, 1]])
    for (let time = 0; time < times; time++) {
      document.querySelectorAll("thead button")[title].click();
      found.push(order());
    }
  document.body.setAttribute("data-found", found.join(";"));
});
</script>
"""


def test_only_its_own_script_may_run() -> None:
    text = page("edgekit x", "<b>", "s", {"One": Markup("<p>1</p>"), "Two": None})
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#x27;sha256-{digest}&#x27;" in text
    assert "<h1>&lt;b&gt;</h1>" in text
    assert "Two" not in text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a browser: apt install chromium")
def test_a_click_sorts_a_table(tmp_path: Path) -> None:
    text = page("edgekit x", "t", "s", {"One": table(["name", ">number", "letter"], ROWS, "c")})
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)  # the test has a script of its own
    path = tmp_path / "page.html"
    path.write_text(text + CLICKS, encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    dom = subprocess.run([*command, f"file://{path}"], capture_output=True, text=True, check=True, timeout=60).stdout
    (found,) = re.findall('data-found="(.*?)"', dom)
    assert found.split(";") == ["two,one,three", "one,two,three", "two,one,three"]
