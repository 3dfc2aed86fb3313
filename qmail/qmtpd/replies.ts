/**
 * What QMTP and QMQP answer, in the words of qmail-qmtpd and qmail-qmqpd; the first letter says whether it is for good (K),
 * for now not (Z), or never (D).
 */

export const accepted = (seconds: number, qp: number) => `Kok ${seconds} qp ${qp}`;
/** The queue did not take the message; `text` is its reason. */
export const queueFailed = (permanent: boolean, text: string) => (permanent ? "D" : "Z") + text;

export const noGateway = () => "Dsorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)";
export const noControls = () => "Zunable to read controls (#4.3.0)";
export const badRecipient = () => "Dsorry, I can't handle that recipient (#5.1.3)";
export const badSender = () => "Dunacceptable sender (#5.1.7)";
export const tooBig = () => "Dsorry, that message size exceeds my databytes limit (#5.3.4)";
export const tooManyRecipients = () =>
  "Ztoo many recipients, send the rest in another message (#4.5.3)";
export const noRoom = () => "Zno room for more mail now, try again later (#4.3.1)";

/** QMQP cannot take some of the recipients and leave the rest. */
export const tooManyRecipientsForGood = () => "Dsorry, too many recipients (#5.5.3)";
/** QMQP has one answer for all addresses. */
export const badAddress = () => "Dsorry, I can't accept addresses like that (#5.1.3)";
