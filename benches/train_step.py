"""The peer of train_step.rs: the same step by PyTorch (torch 2.15, transformers 5.23), f32, attention dropout off."""

import statistics
import sys
import time

import torch
from transformers import BertConfig, BertForTokenClassification

if len(sys.argv) > 1:
    torch.set_num_threads(int(sys.argv[1]))
config = BertConfig(
    vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
    hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.0, num_labels=13, attn_implementation="sdpa",
)
model = BertForTokenClassification(config).train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
ids, labels = torch.randint(0, 30522, (8, 128)), torch.randint(0, 13, (8, 128))
seconds = []
cpu = time.process_time()
for _ in range(12):
    begun = time.perf_counter()
    optimizer.zero_grad()
    model(input_ids=ids, labels=labels).loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    seconds.append(time.perf_counter() - begun)
cpu = (time.process_time() - cpu) / 12
for name, value in (("median", statistics.median(seconds)), ("fastest", min(seconds))):
    print(f"{name}: {1e3 * value:.0f} ms a step, {1024 / value:.0f} tokens/s")
print(f"{1024 / cpu:.0f} tokens per CPU second")
