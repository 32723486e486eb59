"""Films from an archive, results back into it; needs the extra ``archive``.

:mod:`~mandora.archive.inbox` keeps what came and what is to do, as files.
:mod:`~mandora.archive.node` receives, :mod:`~mandora.archive.send` sends, by pynetdicom, and
:mod:`~mandora.archive.listen` runs them.
"""
