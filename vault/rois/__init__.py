"""Where data comes from: who is under treatment, what the ROIS holds of them, and how it gets here, durably."""
