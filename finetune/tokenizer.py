"""A small English and Chinese tokenizer: byte-level BPE, so that any text survives the round trip.

Every byte is a token of its own, which is the fall-back for whatever the training texts did not hold (rare
characters, emoji, Arabic). Han characters and digits stand alone: a phrase cut anywhere shares its tokens with every
other phrase, "12 m" and "21 m" share theirs, and a house number does not become a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

# In order: one Han character; other letters with the space before them; one digit; one mark; white space.
PIECES = r"\p{Han}| ?[^\P{L}\p{Han}]+\p{M}*| ?\p{N}| ?[^\s\p{L}\p{N}]|\s+"


def train_tokenizer(
    texts: Iterable[str],
    *,
    vocab_size: int = 4096,
    special_tokens: Sequence[str] = (),
    lowercase: bool = False,
    pieces: str = PIECES,
    fragments: Sequence[str] = (),
) -> Tokenizer:
    """A byte-level BPE tokenizer with ids ``0 .. len(special_tokens) - 1`` for the special tokens, in their order.

    ``vocab_size`` counts special tokens and the 256 bytes and is an upper bound (a small corpus has fewer pairs).
    ``lowercase`` folds case before anything else, and then the round trip gives the folded text.
    ``pieces`` says where words end. ``fragments`` are strings that always stand as one token (set phrases of a format).
    Raises ``ValueError`` where the vocabulary has no room for the bytes.
    """
    if vocab_size < 256 + len(special_tokens):
        raise ValueError(f"vocab_size {vocab_size} has no room for 256 bytes and {len(special_tokens)} special tokens")
    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in special_tokens],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    tokenizer.add_tokens([AddedToken(f, special=False, normalized=False) for f in fragments])
    return tokenizer
