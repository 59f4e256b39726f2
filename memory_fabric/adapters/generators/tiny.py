"""A tiny random model of the default one's architecture: for fast tests, and for nothing else.

Llama with two layers of 32 numbers; its words are bytes. It says nothing sensible, and always the
same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memory_fabric.adapters.generators.transformers import (
    Load,
    TransformersGenerator,
    tools_missing,
)

_FRAME = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_generator(seed: int = 0, context: int = 1024) -> TransformersGenerator:
    """The tiny model as a generator."""
    return TransformersGenerator("tiny", f"tiny {seed}", context, tiny_load(seed))


def tiny_load(seed: int = 0) -> Load:
    """What makes the tiny model and its tokenizer, in memory."""
    return lambda: (_model(seed), _tokenizer())


def write_tiny(folder: Path, seed: int = 0) -> Path:
    """The tiny model as a folder in Hugging Face's layout."""
    model, tokenizer = tiny_load(seed)()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    try:
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        raise tools_missing(error) from None
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate((*_FRAME, *letters))}
    core = Tokenizer(models.BPE(vocab=words, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True) for token in _FRAME])
    _, begin, end = _FRAME
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token=end, bos_token=begin)
    tokenizer.chat_template = _TEMPLATE
    return tokenizer


def _model(seed: int) -> Any:
    try:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError as error:
        raise tools_missing(error) from None
    config = LlamaConfig(
        vocab_size=256 + len(_FRAME),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()
