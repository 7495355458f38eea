"""Chat templates. Oracle: transformers' apply_chat_template with the same template and tokens."""

from __future__ import annotations

from typing import Any

import pytest

from mtp_rt.errors import ArgumentError, ModelFormatError
from mtp_rt.tokenizer.chat_template import MAX_RENDERED_CHARACTERS, MAX_TEMPLATE_BYTES, ChatTemplate

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are helpful<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}{% else %}"
    "{% set loop_messages = messages %}{% set system = '' %}{% endif %}{% for m in loop_messages %}"
    "{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + (system if loop.index0 == 0 else '') "
    "+ m['content'].strip() + ' [/INST]' }}{% else %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}"
    "{% endfor %}",
    "blocks and spaces": "  {% for m in messages %}\n    {%- if m.role == 'user' %}\n  U: {{ m.content }}\n"
    "    {% endif %}\n  {% endfor %}\nend\n",
    "tojson": "{{ messages | tojson }}|{{ messages[0] | tojson(indent=2) }}|{{ {'b': '<&é>'} | tojson }}",
    "loop controls": "{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}{{ m.content }}"
    "{% endfor %}",
    "generation tag": "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
    "absent tools": "{% if tools is not none %}tools{% endif %}{% if documents is none %}none{% endif %}"
    "{% if nothing is defined %}x{% endif %}{{ nothing }}",
    "namespace": "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}"
    "{{ ns.n }}",
}
CONVERSATIONS: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": "Hi"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "  <b>2 & 2?</b> 'é' 日本\n"}],
    [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "extra": [1, 2]},
        {"role": "user", "content": ""},
    ],
]


def transformers_rendering(template: str, messages: list[dict[str, Any]], add_generation_prompt: bool) -> str:
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **TOKENS)
    return tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=False, add_generation_prompt=add_generation_prompt
    )


@pytest.mark.parametrize("name", TEMPLATES)
def test_renders_what_transformers_renders(name: str) -> None:
    template = ChatTemplate(TEMPLATES[name], TOKENS)
    for messages in CONVERSATIONS:
        for add in (True, False):
            expected = transformers_rendering(TEMPLATES[name], messages, add)
            assert template.render(messages, add_generation_prompt=add) == expected


def test_strftime_now_is_there() -> None:
    from datetime import datetime

    text = ChatTemplate("{{ strftime_now('%Y') }}", {}).render(CONVERSATIONS[0])
    assert abs(int(text) - datetime.now().year) <= 1


def test_messages_are_not_changed_by_a_template() -> None:
    messages = [{"role": "user", "content": "a"}]
    with pytest.raises(ModelFormatError, match="SecurityError"):
        ChatTemplate("{{ messages.append(1) }}", {}).render(messages)
    with pytest.raises(ModelFormatError, match="SecurityError"):
        ChatTemplate("{% set x = messages[0].update({'role': 'b'}) %}", {}).render(messages)
    assert messages == [{"role": "user", "content": "a"}]


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__init__.__globals__ }}",
        "{{ raise_exception.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ '{0.__class__}'.format(messages).__class__ }}",
        "{% include '/etc/passwd' %}",
        "{{ range(10000000) | list }}",
    ],
)
def test_the_sandbox_holds(source: str) -> None:
    """An escape is an error, or renders to nothing: never the object it reached for."""
    template = ChatTemplate(source, TOKENS)
    try:
        text = template.render(CONVERSATIONS[0])
    except ModelFormatError:
        return
    assert text == ""


def test_a_refusal_is_the_callers_error() -> None:
    template = ChatTemplate("{{ raise_exception('roles must alternate') }}", {})
    with pytest.raises(ArgumentError, match="refuses them: roles must alternate"):
        template.render(CONVERSATIONS[0])


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 / 0 }}",
        "{{ messages[9].content.x }}",
        "{{ nothing.at.all }}",
        "{{ 'a' + 1 }}",
        "{{ f() }}",
        "{{ 'x' * 9**20 }}",
    ],
)
def test_a_failing_template_is_named(source: str) -> None:
    with pytest.raises(ModelFormatError, match=r"x\.jinja: failed"):
        ChatTemplate(source, {}, "x.jinja").render(CONVERSATIONS[0])


def test_limits() -> None:
    fits = "a" * MAX_TEMPLATE_BYTES
    assert ChatTemplate(fits, {}).render(CONVERSATIONS[0]) == fits
    with pytest.raises(ModelFormatError, match="at most 65536"):
        ChatTemplate(fits + "a", {})
    kibi = "{% for i in range(COUNT) %}{{ 'x' * 1024 }}{% endfor %}"
    most = ChatTemplate(kibi.replace("COUNT", "4096"), {}).render(CONVERSATIONS[0])
    assert len(most) == MAX_RENDERED_CHARACTERS
    bomb = "{% for i in range(99999) %}{% for j in range(99999) %}{{ 'x' * 999 }}{% endfor %}{% endfor %}"
    with pytest.raises(ModelFormatError, match=f"more than {MAX_RENDERED_CHARACTERS} characters"):
        ChatTemplate(bomb, {}).render(CONVERSATIONS[0])
    with pytest.raises(ModelFormatError, match="more than"):
        ChatTemplate(kibi.replace("COUNT", "4097"), {}).render(CONVERSATIONS[0])
    with pytest.raises(ModelFormatError, match="not a valid template"):
        ChatTemplate("{% if %}", {}).render(CONVERSATIONS[0])
    for nested in ("{% if 1 %}" * 5_000, "{% for i in [1] %}" * 40 + "{% endfor %}" * 40):
        with pytest.raises(ModelFormatError, match="not a valid template"):
            ChatTemplate(nested, {}).render(CONVERSATIONS[0])


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "messages: is empty"),
        ("hello", "messages: must be a list of messages, not str"),
        ({"role": "user", "content": "x"}, "messages: must be a list of messages, not dict"),
        (None, "not NoneType"),
        (["hello"], r"messages\[0\]: must be a mapping"),
        (
            [{"role": "user", "content": "a"}, {"content": "b"}],
            r"messages\[1\].role: None is not one of system",
        ),
        ([{"role": "robot", "content": "b"}], r"messages\[0\].role: 'robot'"),
        ([{"role": "user"}], r"messages\[0\].content: must be a string, not NoneType"),
        ([{"role": "user", "content": ["a"]}], r"messages\[0\].content: must be a string, not list"),
        ([{"role": ["user"], "content": "a"}], r"messages\[0\].role"),
    ],
)
def test_malformed_messages_are_named(messages: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        ChatTemplate(CHATML, {}).render(messages)
