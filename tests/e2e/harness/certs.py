"""Certificates for a test, made by the openssl command (P-256, two days)."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Optional


@dataclass(frozen=True)
class Certificate:
    cert: Path
    key: Path


def make(folder: Path, name: str, issuer: Optional[Certificate] = None, ca: bool = False,
         label: str = "") -> Certificate:
    """A certificate for a DNS name: signed by itself or by issuer; ca: one that may sign others."""
    stem = label or name
    made = Certificate(folder / f"{stem}.pem", folder / f"{stem}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
               "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", str(made.key), "-out", str(made.cert),
               "-addext", f"subjectAltName=DNS:{name}"]
    if issuer:
        command += ["-CA", str(issuer.cert), "-CAkey", str(issuer.key)]
    if ca:
        command += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    elif issuer:
        command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return made
