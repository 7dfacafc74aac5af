"""Networks: sub-tokens and a time in, logits over tokens out. They know no mathematics, no data, no training."""
