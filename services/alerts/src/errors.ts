/** Codes of the alerts service, with when each is raised. */
export const errors = {
  ALERT_DATA_LATE: 'the store is more than a minute behind with the data set of an alert; the alert waits for it',
  ALERT_DATA_SET_UNAVAILABLE: 'a GlobalAlert reads a data set that Margay does not have',
  ALERT_INVALID: 'a GlobalAlert that was stored cannot be evaluated as it stands',
  ALERT_EVALUATION_FAILED: 'the query of an alert, or writing its outcome, failed; it is tried again',
  DELIVERY_FAILED: 'a receiver did not take a message; the lane decides by its kind whether to try again',
} as const
