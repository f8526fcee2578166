"""The peer of distil_step.rs: the same step by PyTorch (torch 2.11, transformers 5.17).

    python3 distil_step.py [cpu | cuda] [sequences] [compile]

On CUDA bfloat16 autocast and fused AdamW; on the CPU f32. Attention is eager in both models, because maps are compared;
heads run at the masked rows only, as here. `compile` compiles both models and the losses.
"""

import statistics
import sys
import time

import torch
import torch.nn.functional as F
from transformers import BertConfig, BertForMaskedLM

DEVICE = sys.argv[1] if len(sys.argv) > 1 else "cpu"
SEQUENCES = int(sys.argv[2]) if len(sys.argv) > 2 else 4
COMPILE = "compile" in sys.argv
LENGTH, VOCABULARY, STEPS = 128, 28996, 10
cuda = DEVICE == "cuda"
torch.manual_seed(1)
if not cuda and len(sys.argv) > 3 and sys.argv[3].isdigit():
    torch.set_num_threads(int(sys.argv[3]))


def model(layers, hidden, inner):
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=12,
        intermediate_size=inner, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )
    return BertForMaskedLM(config).to(DEVICE)


teacher, student = model(12, 768, 3072).eval(), model(4, 312, 1200).train()
projector = torch.nn.Linear(312, 768).to(DEVICE)
if cuda:
    teacher = teacher.to(torch.bfloat16)
parameters = [*student.parameters(), *projector.parameters()]
optimizer = torch.optim.AdamW(parameters, lr=5e-4, weight_decay=1e-4, fused=True)
ids = torch.randint(0, VOCABULARY, (SEQUENCES, LENGTH), device=DEVICE)
masked = round(LENGTH * 0.15)
places = torch.arange(masked, device=DEVICE) * LENGTH // masked
rows = (torch.arange(SEQUENCES, device=DEVICE)[:, None] * LENGTH + places).flatten()


def forward(model):
    out = model.bert(input_ids=ids, output_hidden_states=True, output_attentions=True)
    logits = model.cls(out.last_hidden_state.flatten(0, 1)[rows])
    return logits, out.hidden_states, out.attentions


def loss():
    with torch.no_grad():
        taught, hidden_t, maps_t = forward(teacher)
    with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=cuda):
        logits, hidden_s, maps_s = forward(student)
        total = F.cross_entropy(logits.float(), taught.float().softmax(-1))
        for l in range(5):
            total = total + F.mse_loss(projector(hidden_s[l]).float(), hidden_t[3 * l].float())
        for l in range(4):
            total = total + F.mse_loss(maps_s[l].float(), maps_t[3 * l + 2].float())
    return total


if COMPILE:
    loss = torch.compile(loss)


def step():
    optimizer.zero_grad(set_to_none=True)
    loss().backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()


def wait():
    if cuda:
        torch.cuda.synchronize()


for _ in range(3):
    step()
wait()
begun = time.perf_counter()
seconds = []
for _ in range(STEPS):
    at = time.perf_counter()
    step()
    seconds.append(time.perf_counter() - at)
wait()
mean = (time.perf_counter() - begun) / STEPS
if cuda:
    print(torch.cuda.get_device_name(), f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most")
print(f"{SEQUENCES} sequences of {LENGTH}, compiled: {COMPILE}")
print(f"{1e3 * mean:.1f} ms a step ({1e3 * statistics.median(seconds):.1f} ms until the step is handed over)")
print(f"{SEQUENCES * LENGTH / mean:.0f} tokens/s")
