// Notes for the tests, made here from nothing: no person, place or event in them is real.

const SENTENCES = [
  '58F w/ h/o type 2 diabetes mellitus, HTN and GERD p/w worsening dyspnea and pleuritic chest pain.\r\n',
  '[**Known lastname 4821**] was seen by Dr. ___ on [**2151-3-04**] for fever, cough and abdominal pain. ',
  'T 38.4 °C, HR 118, BP 104/62, SpO2 89 % RA; troponin I 0.09 ng/mL, D-dimer 4.2 µg/mL, creatinine ½ of baseline.\n',
  'MEDS:\tmetformin 1000 mg BID\tlisinopril 20 mg daily\taspirin 81 mg\r\n',
  'Patient feels 😀 today, no nausea 🤢, pain 4/10 👨‍👩‍👧 at bedside; naïve to opioids, café-au-lait spots noted. ',
  'CT pulmonary angiogram: bilateral segmental pulmonary emboli with right ventricular dilatation.\n\n',
  'Started on IV heparin, then “apixaban” 5 mg; ceftriaxone given for pneumonia\u00a0of the left lower lobe. ',
  'Echocardiography showed LVEF 35 %, moderate mitral regurgitation and a pericardial effusion\u200b. ',
  'Underwent laparoscopic cholecystectomy for acute cholecystitis; e\u0301dema of both legs persists.\r\n',
];

export const LAST_SENTENCE = 'At discharge the patient had acute myocardial infarction.';

/** A note of at least `words` words with everything that breaks offsets, ending in LAST_SENTENCE. */
export function longNote(words = 3000) {
  let note = '';
  for (let i = 0; note.split(/\s+/).length < words; i++) note += SENTENCES[i % SENTENCES.length];
  return note + LAST_SENTENCE;
}

/** A note of exactly `bytes` bytes of ASCII. */
export function hugeNote(bytes) {
  const line = 'Patient admitted with pneumonia and acute kidney injury, treated with ceftriaxone and IV fluids.\n';
  return line.repeat(Math.ceil(bytes / line.length)).slice(0, bytes);
}
