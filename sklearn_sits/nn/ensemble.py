"""Several models side by side, whose probabilities are averaged."""

import torch
from torch import nn

from sklearn_sits.nn.heads import Head

__all__ = ["EnsembleHead", "RepresentationEnsemble"]


class RepresentationEnsemble(nn.Module):
    """Representations of the same series, one after the other.

    Parameters
    ----------
    members : list of torch.nn.Module
        Map a batch, as keyword arguments, to (n, d); each has the attribute `n_features`, d.
    fixed : torch.nn.Module or None, default=None
        One more that is not trained. It comes last, and only in evaluation.
    """

    def __init__(self, members, fixed=None):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.fixed = fixed
        self.n_trained = sum(member.n_features for member in members)
        self.n_features = self.n_trained + (0 if fixed is None else fixed.n_features)

    def forward(self, **batch):
        """Compute the representations.

        Parameters
        ----------
        **batch : tensors
            Arguments of the members.

        Returns
        -------
        z : tensor of shape (n, sum of d)
        """
        parts = [member(**batch) for member in self.members]
        if self.fixed is not None and not self.training:
            parts.append(self.fixed(**batch))
        return torch.cat(parts, dim=1)


class EnsembleHead(Head):
    """Weighted mean of the probabilities of several heads, each on features of its own.

    Each head is trained on its own likelihood and divergence, as if it were alone. Heads without
    parameters are not trained.

    Parameters
    ----------
    members : list of Head
        Heads.
    columns : list of slice
        Features of each head.
    """

    def __init__(self, members, columns):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.columns = list(columns)
        # In double precision, for the sum of the probabilities to be one in it too.
        share = torch.full((len(members),), 1 / len(members), dtype=torch.float64)
        self.register_buffer("share", share)

    def split(self, z):
        """Split a representation into the features of each head.

        Parameters
        ----------
        z : tensor of shape (n, d)
            Representation.

        Returns
        -------
        parts : list of tensor of shape (n, d of the head)
        """
        return [z[:, columns] for columns in self.columns]

    def _each(self, z):
        return zip(self.members, self.split(z), strict=True)

    @property
    def _trained(self):
        return [head for head in self.members if any(True for _ in head.parameters())]

    def nll(self, z, labels):
        """Compute the mean of the trained members' expected negative log-likelihoods.

        Parameters
        ----------
        z : tensor of shape (n, d)
            Representation; features of heads that are not trained may be missing.
        labels : int64 tensor of shape (n,)

        Returns
        -------
        nll : tensor of shape (n,)
        """
        trained = self._trained
        losses = (head.nll(part, labels) for head, part in self._each(z) if head in trained)
        return sum(losses) / len(trained)

    def kl(self):
        """Compute the mean of the trained members' divergences.

        Returns
        -------
        kl : tensor of shape () or float
        """
        trained = self._trained
        return sum(head.kl() for head in trained) / len(trained)

    def freeze(self):
        """Compute once the factors that predictions need of the parameters."""
        for head in self.members:
            head.freeze()

    def predict_proba(self, z):
        """Compute class probabilities.

        Parameters
        ----------
        z : tensor of shape (n, d)

        Returns
        -------
        probabilities : tensor of shape (n, C)
        """
        parts = zip(self.share, self._each(z), strict=True)
        return sum(share * head.predict_proba(part) for share, (head, part) in parts)

    def predict_log_proba(self, z):
        """Compute the logarithms of the class probabilities, finite where these underflow.

        Parameters
        ----------
        z : tensor of shape (n, d)

        Returns
        -------
        log_probabilities : tensor of shape (n, C)
        """
        logs = torch.stack([head.predict_log_proba(part) for head, part in self._each(z)])
        return (logs + self.share.log()[:, None, None]).logsumexp(0)

    def latent(self, z):
        """Compute mean and standard deviation of the mixture of the latent functions.

        Parameters
        ----------
        z : tensor of shape (n, d)

        Returns
        -------
        mean, std : tensors of shape (n, C)
        """
        latents = [head.latent(part) for head, part in self._each(z)]
        means, stds = (torch.stack(values) for values in zip(*latents, strict=True))
        share = self.share[:, None, None]
        mean = (share * means).sum(0)
        # Within the members and between them.
        variance = (share * (stds.square() + (means - mean).square())).sum(0)
        return mean, variance.sqrt()
