"""Networks, one file each: sub-tokens and a time in, logits over tokens out. They know no data and no training."""
