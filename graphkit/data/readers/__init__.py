"""One reader per raw format, registered with ``kind="reader"``: ``reader(files, **options) -> Raw``."""
