"""From images and what lies beside them to the batches that a network is trained with."""
