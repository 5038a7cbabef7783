"""The settings as people write them: a TOML file, or words behind `--set`, which `config.read_config` reads back."""

from headway.config import Config


def to_toml(config: Config) -> str:
    """All settings as a TOML text that `read_config` reads back; what is None is left out, as TOML has no word for it."""
    sections = config.model_dump(exclude_none=True)
    return "\n".join(f"[{name}]\n" + "".join(f"{k} = {_toml_value(v)}\n" for k, v in values.items()) for name, values in sections.items())


def to_settings(config: Config) -> list[str]:
    """What is not as by default as `section.key=value`, for `--set`: `read_config` reads it back."""
    given = config.model_dump(exclude_defaults=True)
    return [f"{section}.{name}={_setting_value(value)}" for section, values in given.items() for name, value in values.items()]


def _setting_value(value: str | bool | float | dict | None) -> str:
    """A tab and a line feed are spelt out, as a shell shows neither."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return _toml_value(value)
    return {"\t": r"\t", "\n": r"\n", None: "none"}.get(value, str(value))


def _toml_value(value: str | bool | float | list | dict) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml_value(name)} = {_toml_value(part)}' for name, part in value.items())}}}"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
    return repr(value)
