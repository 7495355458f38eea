"""`mtp-rt bench`: how fast, how much faster with drafts, and how that compares."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from mtp_rt.cli import bench_tables, measuring, options
from mtp_rt.cli.progress import show_progress
from mtp_rt.cli.session import sampling_params

app = options.new_app("Measure speed: drafts against plain decoding, single steps, and other runtimes.")

Repeat = Annotated[
    int, options.option("--repeat", min=1, max=1000, help="Rounds; figures are medians over them.")
]


@app.command(
    epilog=options.examples(
        "mtp-rt bench decode",
        "mtp-rt bench decode --prompts my.jsonl --batch 1,4,16 --ignore-eos --json",
        "mtp-rt bench decode --drafts 3 --temperature 0.8 --seed 7",
    )
)
def decode(
    *,
    model: options.Model = None,
    prompts: measuring.Prompts = None,
    max_tokens: options.MaxTokens = 128,
    repeat: Repeat = 5,
    batch: Annotated[
        str, options.option("--batch", metavar="N,...", help="Requests that run at a time, e.g. 1,4,16.")
    ] = "1",
    temperature: options.Temperature = 0.0,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    seed: options.Seed = None,
    ignore_eos: options.IgnoreEos = False,
    drafts: options.Drafts = "auto",
    draft_source: options.Source = "auto",
    engine: options.Engine = "native",
    provider: options.Provider = "cpu",
    isa: options.Isa = None,
    threads: options.Threads = None,
    raw: options.Raw = False,
    json_output: options.Json = False,
) -> None:
    """Decode prompts plainly and with drafts, in turn, and compare speed and text.

    Rates are of decoding alone, without prompts and first tokens: tokens over the median time of each
    prompt. tokens_per_step is tokens over model calls: the speed-up that drafts would give if wider calls
    and drafting were free. loop_efficiency = speedup / tokens_per_step is how much of that arrives.
    draft_share is the share of decoding time spent proposing. differing_tokens counts places where drafts
    changed the text: it must be 0.
    """
    batches = options.numbers(batch, "--batch")
    params = sampling_params(
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        seed=secrets.randbits(32) if seed is None else seed,
        ignore_eos=ignore_eos,
    )
    wanted = options.parse_drafts(drafts)
    from mtp_rt.bench import decode as bench
    from mtp_rt.request import draft_options

    with show_progress() as progress:
        name, folder = measuring.resolve(model, progress)
        items = measuring.encoded(prompts, folder, raw)
        room = measuring.room(items, max_tokens)
        loaded = measuring.open_engine(
            folder, room, engine=engine, provider=provider, isa=isa, threads=threads, slots=max(batches)
        )
        settings = bench.Settings(params, draft_options(wanted, draft_source), repeat, batches)
        result = bench.run(loaded, folder, items, settings, progress)
    asked = {"drafts": wanted, "temperature": temperature, "seed": params.seed}
    measuring.show({**result, **asked}, name, json_output, bench_tables.show_decode)


@app.command(
    epilog=options.examples(
        "mtp-rt bench steps", "mtp-rt bench steps --widths 1,4,8 --contexts 64,1024 --json"
    )
)
def steps(
    *,
    model: options.Model = None,
    widths: Annotated[
        str, options.option("--widths", metavar="N,...", help="Rows of a verify call: 1 is a plain step.")
    ] = "1,2,3,4,5,6,8,12,16",
    contexts: Annotated[
        str | None,
        options.option(
            "--contexts", metavar="N,...", help="Tokens before the rows. Default: 64,1024 as far as they fit."
        ),
    ] = None,
    repeat: Repeat = 5,
    engine: options.Engine = "native",
    provider: options.Provider = "cpu",
    isa: options.Isa = None,
    threads: options.Threads = None,
    json_output: options.Json = False,
) -> None:
    """Time single model calls by width and context, and hold a plain step against the memory's speed.

    Widths take turns within each round. verify_ratio is the median cost in plain steps of the same round.
    bandwidth_fraction is the bytes of weights that a plain step reads, over its time, over the streaming-read
    bandwidth measured before and after it: 1 is the memory's own speed. draft_ms is the time of a draft by
    the tokens drafted, null for a model without heads.
    """
    from mtp_rt.bench import steps as bench

    behind = options.numbers(contexts, "--contexts") if contexts else ()
    settings = bench.Settings(options.numbers(widths, "--widths"), behind, repeat)
    with show_progress() as progress:
        name, folder = measuring.resolve(model, progress)
        tokens = max(behind or bench.DEFAULT_CONTEXTS) + max(settings.widths)
        loaded = measuring.open_engine(
            folder, tokens, engine=engine, provider=provider, isa=isa, threads=threads
        )
        result = bench.run(loaded, settings, progress)
    measuring.show(result, name, json_output, bench_tables.show_steps)


@app.command(
    epilog=options.examples(
        "mtp-rt bench peers", "mtp-rt bench peers --against llama.cpp --max-tokens 256 --json"
    )
)
def peers(
    *,
    model: options.Model = None,
    against: Annotated[
        str,
        options.option(
            "--against",
            metavar="NAME,...",
            help="Peers: llama.cpp, onnxruntime-genai, transformers; with drafts of their own: "
            "llama.cpp-lookup, transformers-lookup.",
        ),
    ] = "llama.cpp,onnxruntime-genai",
    prompts: measuring.Prompts = None,
    max_tokens: options.MaxTokens = 128,
    repeat: Repeat = 5,
    drafts: options.Drafts = "auto",
    engine: options.Engine = "native",
    provider: options.Provider = "cpu",
    threads: options.Threads = None,
    raw: options.Raw = False,
    json_output: options.Json = False,
) -> None:
    """Give other runtimes the same work: same weights, tokens, threads, one prompt at a time, greedy.

    Every system lives in a process of its own and waits while the others run; a prompt goes round all of
    them before the next one, so that all meet the same machine. End tokens are ignored: all decode the same
    number. ratio_plain and ratio_mtp are how many times faster we are, plain and with drafts: medians over
    the rounds. Peers need `pip install "mtp-rt[peers]"`.
    """
    wanted = options.parse_drafts(drafts)
    from mtp_rt import machine
    from mtp_rt.bench.peers import compare
    from mtp_rt.errors import ArgumentError

    try:
        settings = compare.Settings(
            against=tuple(dict.fromkeys(name.strip() for name in against.split(",") if name.strip())),
            threads=threads or machine.available_cores(),
            max_tokens=max_tokens,
            repeat=repeat,
            drafts=wanted,
            engine=engine,
            provider=provider,
        )
    except ArgumentError as error:
        raise typer.BadParameter(str(error)) from None
    with show_progress() as progress:
        name, folder = measuring.resolve(model, progress)
        ids = [item.tokens for item in measuring.encoded(prompts, folder, raw)]
        result = compare.run(str(folder), ids, settings, progress)
    measuring.show(result, name, json_output, bench_tables.show_peers)
