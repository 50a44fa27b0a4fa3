"""The judge: a small model of the Qwen3-VL architecture, pretrained on map tiles, and its LoRA adapter."""
