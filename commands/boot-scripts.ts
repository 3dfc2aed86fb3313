/** The boot scripts by name; the files are in templates/boot/. */
export const BOOT_SCRIPTS: readonly string[] = [
  "home",
  "home+df",
  "proc",
  "proc+df",
  "binm1",
  "binm1+df",
  "binm2",
  "binm2+df",
  "binm3",
  "binm3+df",
];
