import { defineConfig } from "qmailctl";

// The mail server that `npm start` makes: a sandbox in ./site, for this machine alone.
export default defineConfig({
  home: "./site",
  sandbox: true,
  host: "mail.example.test",
  aliases: {
    you: "./you/Maildir/",
    postmaster: "you",
    "mailer-daemon": "postmaster",
    root: "postmaster",
  },
  defaultDelivery: "./Maildir/",
  services: { smtp: { listen: "127.0.0.1:2525" } },
});
