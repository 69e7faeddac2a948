"""Key pairs to sign with."""

from __future__ import annotations

from pathlib import Path


def write_key(folder: Path, name: str, curve: bool = False) -> tuple[str, str]:
    """Write a key pair in PEM, and return the paths of the private and the public one."""
    from cryptography.hazmat.primitives import serialization as to
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key = ec.generate_private_key(ec.SECP256R1()) if curve else ed25519.Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, to.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(to.Encoding.PEM, to.PublicFormat.SubjectPublicKeyInfo)
    )
    return str(private), str(public)
