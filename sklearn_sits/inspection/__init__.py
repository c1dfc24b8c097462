"""What a fitted model uses: importance of bands and dates, and weights of the attention."""

from sklearn_sits.inspection.attention import attention_weights
from sklearn_sits.inspection.importance import permutation_importance

__all__ = ["attention_weights", "permutation_importance"]
