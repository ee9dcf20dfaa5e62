/** The version of Margay: every package has this one. */
export const version = '0.1.0'
