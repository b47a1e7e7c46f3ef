"""Provider queues, their jobs and the estimates of when these finish."""
