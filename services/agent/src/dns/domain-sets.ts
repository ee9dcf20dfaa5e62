/** A kernel set in the table `inet margay` whose elements are the addresses that DNS answers gave to the names of a rule. */
export interface DomainSet {
  readonly name: string
  readonly family: 4 | 6
  /** Domain names of the rule, each exact or with one `*` (spec 5.12). */
  readonly patterns: readonly string[]
}

/** Keeps the addresses of domain sets in the kernel. Nobody else touches the elements of such a set. */
export interface DomainSets {
  /**
   * Takes over the list of all domain sets; those that it does not name are forgotten. The sets exist in the kernel when it is called,
   * empty or not. Resolves when every address known for each is in the kernel; calling it again repairs sets that were emptied.
   */
  fill(sets: readonly DomainSet[]): Promise<void>
}
