"""One function per command: read, call, write. Jobs tell what they do by yielding events; they never print."""
