"""The documents are true: their links lead somewhere, and the commands in them exist with their options."""

import os
import re
import shlex
import subprocess
import unittest
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/*/README.md"), *ROOT.glob("benches/*/README.md")])
BINARY = os.environ.get("SLIPSTREAM_BIN", str(ROOT / "target/release/slipstream"))


@cache
def help_of(*words: str) -> str | None:
    """What ``--help`` of a subcommand says; None: there is no such subcommand."""
    done = subprocess.run([BINARY, *words, "--help"], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def commands(text: str):
    """Lines of code blocks, and pieces of code in sentences, that begin with ``slipstream``."""
    yield from re.findall(r"(?<!`)`(slipstream [a-z][^`\n]*)`", text)
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif (fenced or line.startswith("    ")) and re.match(r"slipstream [a-z-]+", line.strip()):
            yield line.strip()


class Documents(unittest.TestCase):
    def test_links_between_documents_lead_somewhere(self):
        link = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)")
        for page in PAGES:
            for target in link.findall(page.read_text()):
                with self.subTest(page=page.name, target=target):
                    self.assertTrue((page.parent / target).exists())

    @unittest.skipUnless(Path(BINARY).exists(), "needs the program: make build")
    def test_commands_exist_with_their_options(self):
        seen = 0
        for page in PAGES:
            for line in commands(page.read_text()):
                with self.subTest(page=page.name, line=line):
                    seen += 1
                    self.check(line)
        self.assertGreater(seen, 20)

    def check(self, line: str):
        words = shlex.split(re.sub(r" <.*| \|.*", "", line), comments=True)[1:]
        path: list[str] = []
        while words and re.fullmatch(r"[a-z][a-z-]*", words[0]) and help_of(*path, words[0]) is not None:
            # Past the last subcommand a word is an argument: its help would be that of the command before it.
            if path and help_of(*path, words[0]) == help_of(*path):
                break
            path.append(words.pop(0))
        self.assertTrue(path, "no such command")
        text = help_of(*path)
        for word in words:
            if word.startswith("--"):
                self.assertRegex(text, re.escape(word.split("=")[0]) + r"\b")

    def test_deployment_files_start_commands_that_exist(self):
        compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
        values = yaml.safe_load((ROOT / "deploy/helm-values.yaml").read_text())
        started = [" ".join(service["command"]) for service in compose["services"].values() if isinstance(service.get("command"), list)]
        started += [values[role]["args"][-1].removeprefix("exec ") for role in ("scheduler", "dagProcessor")]
        ours = [command for command in started if command.startswith("slipstream ")]
        self.assertGreaterEqual(len(ours), 4)
        if Path(BINARY).exists():
            for command in ours:
                self.check(command)

    def test_every_service_of_the_compose_file_has_the_same_image_and_secrets(self):
        services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        airflow = {name: service for name, service in services.items() if "environment" in service and name != "postgres"}
        self.assertGreaterEqual(set(airflow), {"migrate", "api-server", "triggerer", "scheduler", "dag-processor"})
        self.assertEqual(len({service["image"] for service in airflow.values()}), 1)
        for secret in ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY"):
            self.assertEqual(len({service["environment"][secret] for service in airflow.values()}), 1)


if __name__ == "__main__":
    unittest.main()
