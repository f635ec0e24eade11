"""``graphkit doctor``."""

from __future__ import annotations

from graphkit.cli.output import emit_json, show_table
from graphkit.core.errors import GraphKitError


def main(hook: bool, unhook: bool, as_json: bool) -> None:
    """Write or remove the start-up hook, or print the report; exit code 1 if a check fails."""
    import typer

    from graphkit import doctor

    if hook and unhook:
        raise GraphKitError("--hook and --unhook exclude each other; give one of them")
    if hook or unhook:
        done = doctor.write_hook() if hook else doctor.remove_hook()
        if as_json:
            return emit_json({"hook": hook, "path": done})
        words = "written" if hook else "removed"
        print(f"start-up hook {words}" + (f": {done}" if done not in (None, True, False) else ""))
        return None
    checks = doctor.report()
    healthy = all(check.ok for check in checks)
    if as_json:
        emit_json({"ok": healthy, "checks": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in checks]})
    else:
        show_table("", ("check", "", "detail"), ((c.name, "ok" if c.ok else "FAIL", c.detail) for c in checks))
        print("all well" if healthy else "something is wrong: see the lines marked FAIL")
    raise typer.Exit(0 if healthy else 1)
